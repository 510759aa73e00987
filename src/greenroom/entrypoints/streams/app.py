"""S."""
def make_app(home,key):
    async def app(scope,receive,send):
        await send({"type":"http.response.start","status":404,"headers":[]}); await send({"type":"http.response.body","body":b""})
    return app
