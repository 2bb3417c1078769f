"""Sphinx's settings; `make site` runs it (tools/build_site.py, which also writes the generated pages)."""

import dasp

project = "dasp"
author = "the dasp authors"
copyright = "the dasp authors, Apache-2.0"
version = release = dasp.__version__
html_title = f"dasp {version}"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "website.sphinx_parts"]
source_suffix = {".md": "myst-nb"}
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
myst_dmath_double_inline = True
exclude_patterns = ["conf.py"]

nb_execution_mode = "cache"
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 90
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Class attributes", "params_style")]
default_role = "code"

html_theme = "furo"
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
# Summaries of search results are fetched, which a page that was opened from disk may not do.
html_show_search_summary = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
