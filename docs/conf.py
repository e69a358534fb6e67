"""What Sphinx is told. `docs/publish.py` puts the pages where it reads them."""

from importlib.metadata import version as version_of

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

default_role = "py:obj"  # what stands between backticks in a docstring is a name, or code
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "inherited-members": "Exception, Backoff"}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 70

myst_enable_extensions = ["attrs_block"]
myst_heading_anchors = 3
suppress_warnings = ["config.cache"]
