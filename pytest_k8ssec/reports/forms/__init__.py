"""Further forms of one run's result, each made from report.json's document alone.

- ``actions``: what a run says to GitHub Actions by itself.
- ``annotations``: lines that GitHub Actions shows beside the code.
- ``code_quality``: GitLab's code quality report.
- ``document``: the JSON Schema of report.json.
- ``every``: which forms there are, and writes them.
- ``markdown``: a short summary.
- ``paths``: where the project's files are, seen from its root.
- ``reported``: what there is to report, once for all forms.
- ``sarif``: SARIF 2.1.0, within what GitHub takes.
"""
