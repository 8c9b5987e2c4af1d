"""Every setting, once: command line > environment > ini > ``[tool.k8ssec]``, merged into one frozen object.

``resolve_settings`` reads and merges them; ``plugin/session`` and ``cli/setup`` call it with what pytest and the command
were given. The options, the ini names, the environment names and the table's keys are all made from one list, ``OPTIONS``. Nothing
here touches docker or the network, and nothing heavy is imported: each pytest run pays for it. For the
same reason these are named tuples: a frozen data class costs each run ten times as much to define.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from pytest_k8ssec.errors import SettingsError

KEEP = ("never", "on-failure", "always")
STRICT = ("auto", "on", "off")
STALE_WAIVERS = ("tell", "strict")
FAIL_ON = ("any", "new", "critical", "high", "medium", "low")
ALL = ("all",)
PROJECT_FILES = ("Pulumi.yaml", "Pulumi.yml", "Pulumi.json")
"""One of these makes a directory a Pulumi project."""
KUBERNETES_VERSION = r"v?[0-9]+\.[0-9]+(\.[0-9]+)?"
"""As a regular expression."""
FLAG_WORDS = {**dict.fromkeys(("1", "true", "yes", "on"), True), **dict.fromkeys(("0", "false", "no", "off"), False)}
"""How a flag is written as text, in capitals or not."""
WAIVER_KEY = "waiver"
"""Of ``[tool.k8ssec]``: a list of tables and no option, read by ``settings/waivers``."""
_NONE: Mapping[str, Any] = MappingProxyType({})


class Settings(NamedTuple):
    """All settings of one run. Paths are absolute; None means "not given"."""

    cluster: str | None = None
    fresh: bool = False
    """Whether kind makes the cluster, though a frozen one like it is there."""
    kind_config: Path | None = None
    node_image: str | None = None
    kubernetes_version: str | None = None
    stack: Path | None = None
    stack_name: str = "k8ssec"
    config_file: Path | None = None
    config: Mapping[str, str] = _NONE
    secret: Mapping[str, str] = _NONE
    """Config key to the *name* of the environment variable that holds its value."""
    keep: str = "never"
    strict: str = "auto"
    report: Path | None = None
    controls: bool = False
    sabotage: bool = False
    packed: bool = False
    serial: bool = False
    resume: bool = False
    not_applicable: Mapping[str, str] = _NONE
    """Control id to the reason why it may be not-applicable under ``strict``."""
    allow_provider: Mapping[str, str] = _NONE
    """Provider other than Kubernetes that the stack may use, to the reason why."""
    diagnostics: Path | None = None
    """Where a cluster's logs go when something fails; None for the state directory."""
    allow: Mapping[str, Mapping[str, str]] = _NONE
    """Control id to subject to the reason why that subject may do what the control forbids."""
    baseline: Path | None = None
    """The report.json of an earlier run, with which this one is compared."""
    fail_on: str = "any"
    """Which breaches fail the run: any, those that are new, those that are at least so severe."""
    waivers: str = "tell"
    """Whether a waiver that has expired, is about to, or waives nothing is only told, or fails the run: ``strict``."""
    reach_limit: float | None = None
    """With more pods than this, reachability is measured for some of each class; infinity for "all are measured"."""
    reach_seed: int | None = None
    """What chooses those."""

    def allowed(self, control: str) -> Mapping[str, str]:
        """The exceptions that are declared for one control, or come with the packaged cluster: subject to reason."""
        return {**self._of_packaged(control), **self.allow.get(control, {})}

    def excused(self, control: str) -> str | None:
        """Why a control may be not-applicable although strict; None where nobody says so."""
        return self.not_applicable.get(control) or next(iter(self._of_packaged(control).values()), None)

    def _of_packaged(self, control: str) -> Mapping[str, str]:
        return _OF_PACKAGED.get(control, {}) if self.packaged else {}

    @property
    def own_kind_config(self) -> Path | None:
        """The user's kind configuration: the one that is named, else the one that lies in the stack's folder; None without any."""
        beside = self.stack / "kind.yaml" if self.stack else None
        return self.kind_config or (beside if beside and beside.exists() else None)

    @property
    def packaged(self) -> bool:
        """Whether the cluster is the one that comes with this package."""
        return self.cluster is None and self.own_kind_config is None


_OF_PACKAGED: Mapping[str, Mapping[str, str]] = {
    "sup-pull-auth": {
        "preloaded-images": "kind loads the packaged cluster's images onto its nodes: no registry serves them"
    }
}
"""By control, what the packaged cluster can't be, and why: nobody else need declare it."""


class Option(NamedTuple):
    """One setting as users write it.

    ``kind`` is one of text, path, choice, flag, number (or a word of ``choices``, for without end), pairs (``KEY=VALUE``, repeatable) and allow
    (``CONTROL:SUBJECT=REASON``, repeatable).
    """

    name: str
    kind: str
    metavar: str
    help: str
    choices: tuple[str, ...] = ()

    @property
    def flag(self) -> str:
        """``--k8ssec-stack-name``."""
        return f"--k8ssec-{self.name.replace('_', '-')}"

    @property
    def ini(self) -> str:
        """``k8ssec_stack_name``."""
        return f"k8ssec_{self.name}"

    @property
    def env(self) -> str:
        """``K8SSEC_STACK_NAME``."""
        return self.ini.upper()

    @property
    def key(self) -> str:
        """``stack-name``, the key in ``[tool.k8ssec]``."""
        return self.name.replace("_", "-")

    @property
    def repeatable(self) -> bool:
        """Whether it may be given several times."""
        return self.kind in ("pairs", "allow")


OPTIONS: tuple[Option, ...] = (
    Option("controls", "flag", "", "also run the packaged controls"),
    Option("sabotage", "flag", "", "run each control [intact], [sabotaged] and [restored]: proof that it notices"),
    Option("packed", "flag", "", "with --k8ssec-sabotage: put as many in force together as can be told apart"),
    Option("serial", "flag", "", "nothing overlaps: one control, one pod, one question after the other; slow"),
    Option("resume", "flag", "", "continue an interrupted run that had the same --k8ssec-report"),
    Option("stack", "path", "DIR", "directory of the Pulumi stack to deploy"),
    Option("stack_name", "text", "NAME", "name of the stack (default: k8ssec)"),
    Option("config_file", "path", "FILE", "Pulumi config file to take values from (like Pulumi.NAME.yaml)"),
    Option("config", "pairs", "KEY=VALUE", "a config value of the stack; {probe_image} stands for the probe's image"),
    Option("secret", "pairs", "KEY=ENVVAR", "a secret config value of the stack, from an environment variable"),
    Option("allow_provider", "pairs", "NAME=REASON", "a provider other than Kubernetes, which acts for real (aws)"),
    Option("cluster", "text", "NAME", "an existing kind cluster (default: an ephemeral one)"),
    Option("fresh", "flag", "", "have kind make the cluster, instead of thawing a frozen one like it"),
    Option("kind_config", "path", "FILE", "kind configuration (default: kind.yaml beside Pulumi.yaml, else hardened)"),
    Option("node_image", "text", "IMAGE", "image of the cluster's nodes"),
    Option("kubernetes_version", "text", "VERSION", "Kubernetes version, chooses the node image (1.36 or v1.36.3)"),
    Option("keep", "choice", "WHEN", "keep the cluster after the run: never, on-failure, always", KEEP),
    Option("strict", "choice", "WHEN", "whether not-applicable fails: auto (if we made the cluster), on, off", STRICT),
    Option("report", "path", "DIR", "write report.json, and a page, SARIF and other forms of it, into this directory"),
    Option(
        "diagnostics", "path", "DIR", "where the cluster's logs go when something fails (default: below K8SSEC_STATE)"
    ),
    Option("not_applicable", "pairs", "CONTROL=REASON", "a control that may be not-applicable although strict"),
    Option("allow", "allow", "CONTROL:SUBJECT=REASON", "a subject that may do what a control forbids"),
    Option(
        "baseline", "path", "FILE", "tell what is new, resolved, unchanged since the run that wrote this report.json"
    ),
    Option(
        "fail_on",
        "choice",
        "WHAT",
        "breaches that fail: any, new (see --k8ssec-baseline), or from a severity on",
        FAIL_ON,
    ),
    Option("waivers", "choice", "HOW", "whether a waiver that is stale is an error: tell, strict", STALE_WAIVERS),
    Option(
        "reach_limit", "number", "PODS", "with more, reachability is measured by class (default: 50; all: never)", ALL
    ),
    Option("reach_seed", "number", "N", "measure reachability of the same pods again (default: by chance, and told)"),
)

_BY_KEY = {option.key: option for option in OPTIONS}
Lookup = Callable[[Option], Any]
"""Asks one place for an option's raw value; None, "" and [] mean that it is not given there."""


def resolve_settings(
    cli: Lookup, environ: Mapping[str, str], ini: Lookup, table: Mapping[str, Any], base: Path
) -> Settings:
    """Merge all sources into one object.

    Args:
        cli: the command line's value of an option.
        environ: the environment; repeatable options are separated by newlines there.
        ini: the ini file's value of an option.
        table: ``[tool.k8ssec]`` of pyproject.toml.
        base: directory that relative paths of the ini file and the table start from.

    Raises:
        SettingsError: an unknown key, or a value that does not fit; the text names the place it came from.
    """
    for key in table:
        if key not in _BY_KEY and key != WAIVER_KEY:
            close = _nearest_word(key, (*_BY_KEY, WAIVER_KEY))
            raise SettingsError(
                f"[tool.k8ssec] {key}: no such setting",
                fix=f"did you mean {close!r}?" if close else f"known: {', '.join(sorted(_BY_KEY))}",
            )
    values: dict[str, Any] = {}
    for option in OPTIONS:
        places = (
            (option.flag, cli(option), Path.cwd()),
            (option.env, environ.get(option.env), Path.cwd()),
            (option.ini, ini(option), base),
            (f"[tool.k8ssec] {option.key}", table.get(option.key), base),
        )
        if option.name == "secret":
            _hide(places, environ)
        given = [_parse(option, raw, where, start) for where, raw, start in places if raw not in (None, "", [])]
        if given:
            # Mappings are merged, the strongest place last; of anything else the strongest place's value counts.
            values[option.name] = _merged(reversed(given)) if option.repeatable else given[0]
    settings = Settings(**values)
    if settings.cluster and settings.sabotage:
        raise SettingsError(
            f"--k8ssec-sabotage with --k8ssec-cluster {settings.cluster}: refused",
            fix="sabotage breaks what it touches and runs only on clusters that this run creates",
        )
    if settings.packed and not settings.sabotage:
        raise SettingsError("--k8ssec-packed without --k8ssec-sabotage: does nothing", fix="give both, or neither")
    if settings.fail_on == "new" and settings.baseline is None:
        raise SettingsError(
            "--k8ssec-fail-on new without --k8ssec-baseline: there is nothing to compare with",
            fix="name the report.json of an earlier run: --k8ssec-baseline FILE",
        )
    if settings.resume and settings.report is None:
        raise SettingsError(
            "--k8ssec-resume without --k8ssec-report: there is no place to resume from", fix="give both"
        )
    return settings


def check_places(settings: Settings) -> None:
    """Check that the files and directories exist which the settings name; only the user can correct a wrong name.

    Raises:
        SettingsError: a file or a directory is missing, or is not what it should be.
    """
    stack = settings.stack
    if stack is not None:
        fix = "name the directory that holds your Pulumi.yaml: --k8ssec-stack DIR"
        if not stack.is_dir():
            why = "is not a directory" if stack.exists() else "does not exist"
            raise SettingsError(f"stack directory {stack}: {why}", fix=fix)
        if not any((stack / name).is_file() for name in PROJECT_FILES):
            raise SettingsError(f"stack directory {stack}: has no Pulumi.yaml", fix=fix)
    for what, flag, path in (
        ("kind config", "--k8ssec-kind-config FILE", settings.kind_config),
        ("config file", "--k8ssec-config-file FILE", settings.config_file),
    ):
        if path is not None and not path.is_file():
            why = "is not a file" if path.exists() else "does not exist"
            raise SettingsError(f"{what} {path}: {why}", fix=f"name an existing file: {flag}")
    if settings.report is not None and settings.report.exists() and not settings.report.is_dir():
        raise SettingsError(f"report directory {settings.report}: is not a directory", fix="name another one")


def pyproject_table(pyproject: Path) -> Mapping[str, Any]:
    """``[tool.k8ssec]`` of a file; it is parsed only if it has such a table.

    Raises:
        SettingsError: the file is not valid TOML.
    """
    try:
        text = pyproject.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    if "k8ssec" not in text:
        return {}
    import tomllib  # here, as each pytest run would pay for it

    try:
        tools = tomllib.loads(text).get("tool", {})
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{pyproject}: is not valid TOML", fix="correct the file", details=str(error)) from error
    except RecursionError:
        raise SettingsError(f"{pyproject}: is not valid TOML: nested too deeply", fix="correct the file") from None
    found = tools.get("k8ssec", {}) if isinstance(tools, dict) else None
    if not isinstance(found, dict):
        raise SettingsError(f"{pyproject}: tool.k8ssec must be a table")
    return found


def _hide(places: Iterable[tuple[str, Any, Path]], environ: Mapping[str, str]) -> None:
    """Register the secrets that any place names, also where a stronger place overrides it, before an error is raised."""
    for _, raw, _ in places:
        if raw:
            from pytest_k8ssec.secrecy import given  # here, as most runs give none

            lines = raw.splitlines() if isinstance(raw, str) else raw if isinstance(raw, (list, Mapping)) else [raw]
            given.register_variables(lines.values() if isinstance(lines, Mapping) else lines, environ)


def _parse(option: Option, raw: Any, where: str, start: Path) -> Any:
    if option.kind == "flag":
        return _flag(raw, where)
    if option.kind == "pairs":
        return _texts(raw, where) if isinstance(raw, Mapping) else _pairs(raw, where, option)
    if option.kind == "allow":
        return _allowed(raw, where, option)
    if option.kind == "number":
        return _number(raw, where, option)
    if not isinstance(raw, str):
        fix = "a waiver's header is [[tool.k8ssec.waiver]]" if option.name == "waivers" else ""
        raise SettingsError(f"{where}: must be text, is {type(raw).__name__}", fix=fix)
    if option.kind == "choice" and raw not in option.choices:
        close = _nearest_word(raw, option.choices)
        hint = f"did you mean {close!r}?" if close else ""
        raise SettingsError(f"{where}: {raw!r} is not one of {', '.join(option.choices)}", fix=hint)
    if option.name == "kubernetes_version" and not re.fullmatch(KUBERNETES_VERSION, raw):
        raise SettingsError(f"{where}: {raw!r} is not a Kubernetes version", fix="write it as 1.36 or v1.36.3")
    return _path(raw, where, start) if option.kind == "path" else raw


def _path(raw: str, where: str, start: Path) -> Path:
    try:
        return (start / Path(raw).expanduser()).absolute()
    except RuntimeError:
        raise SettingsError(
            f"{where}: {raw!r}: nobody of that name has a home here", fix="write the whole path"
        ) from None


def _nearest_word(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, or ""."""
    from difflib import get_close_matches  # only on the way to an error

    return next(iter(get_close_matches(word, list(known), n=1)), "")


def _merged(mappings: Iterable[dict[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for mapping in mappings:
        for key, value in mapping.items():
            merged[key] = {**merged.get(key, {}), **value} if isinstance(value, dict) else value
    return merged


def _flag(raw: Any, where: str) -> bool:
    if isinstance(raw, bool):
        return raw
    word = str(raw).strip().lower()
    if word in FLAG_WORDS:
        return FLAG_WORDS[word]
    raise SettingsError(f"{where}: {raw!r} is neither true nor false")


def _number(raw: Any, where: str, option: Option) -> float:
    word = str(raw).strip()
    if word in option.choices:
        return float("inf")
    if not (word.isascii() and word.isdigit()):
        also = "".join(f", or {choice}" for choice in option.choices)
        raise SettingsError(f"{where}: {raw!r} is not a whole number from 0 on{also}")
    return int(word)


def _texts(raw: Mapping[str, Any], where: str) -> dict[str, str]:
    """A table's values as text; numbers and truth values as TOML and Pulumi write them."""
    texts: dict[str, str] = {}
    for key, value in raw.items():
        if not isinstance(value, str | int | float):
            raise SettingsError(f"{where}.{key}: must be text, is {type(value).__name__}")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if not text.strip():
            raise SettingsError(f"{where}.{key}: is empty")
        texts[key] = text
    return texts


def _lines(raw: Any, where: str) -> list[str]:
    lines = raw.splitlines() if isinstance(raw, str) else raw
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise SettingsError(f"{where}: must be a list of texts")
    return [line.strip() for line in lines if line.strip()]


def _pairs(raw: Any, where: str, option: Option) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for line in _lines(raw, where):
        key, equals, value = line.partition("=")
        if not (key and equals and value):
            raise SettingsError(f"{where}: {line!r} is not of the form {option.metavar}")
        pairs[key.strip()] = value.strip()
    return pairs


def _allowed(raw: Any, where: str, option: Option) -> dict[str, dict[str, str]]:
    allowed: dict[str, dict[str, str]] = {}
    if isinstance(raw, Mapping):
        for control, subjects in raw.items():
            if not isinstance(subjects, Mapping):
                raise SettingsError(f"{where}.{control}: must be a table of SUBJECT = REASON")
            allowed[str(control)] = _texts(subjects, f"{where}.{control}")
        return allowed
    for key, reason in _pairs(raw, where, option).items():
        control, colon, subject = key.partition(":")
        if not (control and colon and subject):
            raise SettingsError(f"{where}: {key!r} is not of the form CONTROL:SUBJECT")
        allowed.setdefault(control, {})[subject] = reason
    return allowed


assert {option.name for option in OPTIONS} == {*Settings._fields}  # one list, twice
