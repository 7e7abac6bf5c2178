"""`$default`: each request that no other route takes."""

from afterword.dialects import dialonce, genai_stack, native, promptitude, unless
from afterword.handlers import default_route

handler = default_route.default_endpoint(native, dialonce, genai_stack, promptitude, unless)
