"""To do: say what it does."""

from hsu_worker import Unimplemented, implements

from hsu_template.gen.hsu_template_hsu_todo import (
    AskRequest,
    AskResponse,
    HsuTodo,
)


@implements(HsuTodo)
class HsuTodoService:
    async def ask(self, request: AskRequest) -> AskResponse:
        raise Unimplemented("HsuTodo.Ask is still to do")
