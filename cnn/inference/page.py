"""The page to drop a photo on, and its small server: on 127.0.0.1 only, with bounds, nothing stored."""

import secrets
import socket
from collections.abc import Callable, Sequence

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from cnn.common import render
from cnn.common.runtime import UserError
from cnn.data.decode import Unusable, decode
from cnn.inference import tables
from cnn.inference.model import Model
from cnn.model import occlusion

HOST = "127.0.0.1"


def answer(model: Model, pixels: np.ndarray, nearest: Sequence[tuple[np.ndarray, str, str]]) -> dict[str, object]:
    """What the page shows of a picture, uint8 (size, size, 3). nearest: (picture, file, label) of training pictures."""
    (row,) = tables.predict(model, [("", pixels, "")])
    return {
        "classes": [{"name": name, "probability": probability} for name, probability in row.classes],
        "text": row.text(top=1),
        "picture": render.picture_source(pixels),
        "heat": render.picture_source(occlusion.overlay(pixels, model.heat(pixels))),
        "nearest": [
            {"source": render.picture_source(image), "file": file, "label": label} for image, file, label in nearest
        ],
    }


def application(model: Model, max_bytes: int, respond: Callable[[np.ndarray], dict[str, object]]) -> Starlette:
    """GET / is the page; POST /classify takes a picture's bytes, at most `max_bytes`, and returns `respond`'s JSON."""

    async def show(request: Request) -> Response:
        nonce = secrets.token_urlsafe(16)
        html = render.render("inference/assets/demo.html.j2", nonce=nonce, task=model.task, max_bytes=max_bytes)
        allowed = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'"
        return HTMLResponse(html, headers={"Content-Security-Policy": f"{allowed}; connect-src 'self'"})

    async def classify(request: Request) -> Response:
        # A page of another site may not have pictures looked at here.
        origin = request.headers.get("origin")
        if origin and origin != f"http://{request.headers['host']}":
            return JSONResponse({"error": "the page is of another site"}, 403)
        data = bytearray()
        try:
            async for part in request.stream():
                data += part
                if len(data) > max_bytes:
                    return JSONResponse({"error": f"the picture is larger than {max_bytes // 2**20} MiB"}, 413)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        try:
            pixels, _ = await run_in_threadpool(decode, bytes(data), model.size)
        except Unusable as unusable:
            return JSONResponse({"error": f"{unusable.reason}; {unusable.advice}"}, 400)
        return JSONResponse(await run_in_threadpool(respond, pixels))

    return Starlette(
        routes=[Route("/", show), Route("/classify", classify, methods=["POST"])],
        # Another site's page may not reach this server by a name of its own that points here.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])],
    )


def serve(port: int, model: Model, max_bytes: int, respond: Callable[[np.ndarray], dict[str, object]]) -> None:
    """Serve the page until Ctrl-C. port: 0 takes a free one. Raises UserError when the port is taken."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise UserError(f"port {port} cannot be used ({error.strerror}); try another: --port 8001") from None
        listener.listen()  # before the address is printed: who opens it at once waits instead of being refused
        print(f"open http://{HOST}:{listener.getsockname()[1]}/ (Ctrl-C ends it)", flush=True)
        app = application(model, max_bytes, respond)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
