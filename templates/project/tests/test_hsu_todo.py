"""HsuTodo over the wire."""

from hsu_worker.testing import running_blocking

from hsu_template.gen.hsu_template_hsu_todo import (
    AskRequest,
    AskResponse,
    HsuTodo,
)
from hsu_template.hsu_todo import HsuTodoService


def test_ask_is_answered() -> None:
    with running_blocking(HsuTodoService()) as worker:
        client = worker.client(HsuTodo)
        response = client.ask(AskRequest(text="to do: ask something"), timeout=10)
        assert response == AskResponse(text="to do: expect something")
