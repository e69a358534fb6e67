"""The configuration of Sphinx. `docs/publish.py` copies the pages to its source folder."""

import re
from importlib.metadata import version as version_of
from typing import Any

import attrs

project = "relay-job-sdk"
version = release = version_of(project)
copyright = "the relay-job-sdk maintainers"

extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "index"
html_theme = "furo"
html_title = f"{project} {version}"
html_copy_source = False
html_show_sphinx = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_theme_options = {"footer_icons": []}

default_role = "py:obj"  # text between backticks in a docstring is a name or code
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "inherited-members": "BaseException, App"}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 70

myst_enable_extensions = ["attrs_block"]
myst_heading_anchors = 3
suppress_warnings = ["config.cache"]

HANDED_OUT = ("JobHelper", "RawJob", "Response")
"""Classes that users receive objects of, but do not instantiate."""


def _signature(
    _app: object, what: str, name: str, thing: Any, _options: object, given: str, back: str
) -> tuple[str, str] | None:
    """Show the defaults of attrs classes, and hide constructors that are not for users."""
    if given and (what == "exception" or name.endswith(HANDED_OUT)):
        return "", ""
    if what != "class" or not attrs.has(thing):
        return None
    fields = attrs.fields_dict(thing)
    shown = re.sub(r"attr_dict\['(\w+)'\]\.default", lambda it: repr(fields[it[1]].default), given)
    return re.sub(r", _types: .*(?=\))", "", shown).replace("NOTHING", "..."), back


def setup(app: Any) -> None:
    """Show signatures as users see them."""
    app.connect("autodoc-process-signature", _signature)
