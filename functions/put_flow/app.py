"""`PUT /v1/flows/{flowId}`: saves a flow."""

from afterword import flow_documents, http, services
from afterword.dialects import native
from afterword.dialects.native import flows
from afterword.keys import ApiKey, Scope


@http.endpoint(native, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Save a flow as its next version, unless the newest is the same."""
    flow_id = flows.read_flow_id(request, key)
    flow = flow_documents.read(flows.parse_flow(request, flow_id))
    warnings = list(flow_documents.warnings(services.contents, key.tenant, flow))
    document = flow_documents.document(flow)
    saved = services.registry().put_flow(key.tenant, flow_id, document, again=False)
    return flows.render_saved(saved, warnings)
