"""The content security policy, and the one place where it is another: Django's admin.

Unfold's pages bring inline scripts and styles, and Alpine, which evaluates expressions. The chat's policy stays strict.
"""

from csp.middleware import CSPMiddleware, PolicyParts
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase


class ContentPolicy(CSPMiddleware):
    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        parts = super().get_policy_parts(request, response, report_only)
        if request.resolver_match and request.resolver_match.route.startswith("admin/"):
            parts.replace = settings.ADMIN_CONTENT_SECURITY_POLICY
        return parts
