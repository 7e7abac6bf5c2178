"""`PUT /v1/flows/{flowId}`: saves a flow."""

from afterword.dialects import native
from afterword.dialects.native import flows
from afterword.flows import documents
from afterword.handlers import http
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope


@http.endpoint(native, Scope.ADMIN)
def handler(request: http.Request, key: ApiKey) -> http.Response:
    """Save a flow as its next version, unless the newest is the same."""
    flow_id = flows.read_flow_id(request, key)
    flow = flows.parse_flow(request, flow_id, documents.parse_flow)
    models = (step.model for step in flow.steps)
    flows.check_fields(services().model_access.list_problems(key.tenant, models))
    by_meaning = services().ranks_by_meaning
    flows.check_fields(documents.list_ranking_problems(flow, by_meaning=by_meaning))
    warnings = list(documents.list_warnings(lambda: services().contents, key.tenant, flow))
    document = documents.render_document(flow)
    saved = services().registry.put_flow(key.tenant, flow_id, document, again=False)
    return flows.render_saved(saved, warnings)
