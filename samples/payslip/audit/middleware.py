"""Passes the user of the current request to the audit trail. The user is loaded only when needed."""

from audit.recorder import current_request


def remember_request(get_response):
    def middleware(request):
        token = current_request.set(request)
        try:
            return get_response(request)
        finally:
            current_request.reset(token)

    return middleware
