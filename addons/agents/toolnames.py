"""The names that tools of many agents share, and what such a tool does."""

from storage.decoded import ToolKind

_NAMES: dict[ToolKind, tuple[str, ...]] = {
    "read": ("read", "read_file", "read_files", "read_many_files", "view", "view_file",
             "view_image", "open_file", "cat", "get_file_contents", "read_text_file"),
    "write": ("write", "write_file", "create", "create_file", "write_to_file", "save_file"),
    "edit": ("edit", "edit_file", "multi_edit", "multiedit", "replace", "replace_in_file",
             "apply_patch", "apply_diff", "patch", "str_replace", "str_replace_editor",
             "str_replace_based_edit_tool", "notebook_edit", "search_replace", "insert"),
    "shell": ("bash", "shell", "run_shell_command", "execute_command", "exec_command", "exec",
              "run_terminal_cmd", "run_command", "terminal", "run_in_terminal", "local_shell",
              "execute_bash", "powershell"),
    "search": ("grep", "glob", "search", "ls", "list", "list_directory", "list_dir", "list_files",
               "find", "grep_search", "file_search", "search_files", "search_file_content",
               "codebase_search", "find_files", "rg"),
    "web": ("web_search", "web_fetch", "webfetch", "websearch", "fetch", "google_web_search",
            "fetch_url", "browser", "browser_action"),
    "task": ("task", "agent", "spawn_agent", "invoke_agent", "subagent", "delegate",
             "delegate_task", "new_task"),
    "todo": ("todo", "todowrite", "todo_write", "todoread", "todo_read", "write_todos",
             "update_plan", "update_todo_list", "manage_todo_list"),
    "skill": ("skill", "activate_skill", "use_skill"),
    "plan": ("exit_plan_mode", "enter_plan_mode", "plan_mode"),
    "ask": ("ask_user", "ask_user_question", "ask_followup_question", "question"),
    "memory": ("save_memory", "memory", "remember"),
    "tool-search": ("tool_search", "search_tools"),
}  # fmt: skip
_KINDS: dict[str, ToolKind] = {name: kind for kind, names in _NAMES.items() for name in names}


def tool_kind(name: str) -> ToolKind:
    """What a tool of this name does; `other` where the name does not tell."""
    return _KINDS.get(name.lower().replace("-", "_"), "other")
