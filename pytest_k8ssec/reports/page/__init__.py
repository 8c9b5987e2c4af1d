"""report.html: one page of a run, for people, made from report.json's document alone.

- ``coverage``: which ids of which frameworks were judged, and how that ended.
- ``evidence``: what was tried, as rows of tables, as many as there is room for.
- ``history``: how verdicts came and went over the last runs, where these are given.
- ``filters``: by what the verdicts can be chosen.
- ``templating``: fills the templates in.
- ``view``: what the templates show, put in order once.
- ``written``: the page, within its size.

The templates, the style and the script are files in ``templates``. Nothing in them is loaded from elsewhere.
"""
