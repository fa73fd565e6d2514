from hsu_worker import App, InvalidArgument

# error[mypy]: Too many positional arguments
# error[pyright]: Expected 1 positional argument
InvalidArgument("text is empty", "more")
# error[mypy]: List item 0 has incompatible type "str"; expected "Message"
# error[pyright]: is not assignable to "Message"
InvalidArgument("text is empty", details=["more"])
# error[mypy]: Argument "name" to "App"
# error[pyright]: parameter "name"
App(name=1)
