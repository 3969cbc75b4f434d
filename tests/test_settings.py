from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from sqlalchemy import make_url

from mome_node import settings_values
from mome_node.errors import SettingsError
from mome_node.fitness import knowledge
from mome_node.fitness.checks import ADJUSTABLE, CODES, Outcome
from mome_node.fitness.knowledge import Known
from mome_node.mome.statement import CONDITIONS
from mome_node.node import inference_process, model_choices, site_policy
from mome_node.node_delivery import retry_policy
from mome_node.results.profile import (
    DEFAULT_PROFILE,
    CharacterSet,
    Encoding,
    Kind,
    ResultProfile,
    StudyScores,
)
from mome_node.settings import (
    MAX_FILE_BYTES,
    Condition,
    Settings,
    load_settings,
    parse_settings,
)
from mome_node.settings_delivery import DestinationSettings, verifier_of
from mome_node.settings_file import default_settings_file
from mome_node.settings_pacs import PacsSettings

Load = Callable[..., Settings]

PEER = '{ ae = "PACS", host = "10.0.0.5" }'
DIFFERING_LIMITS = """
[[dicom.allowed_peers]]
ae = "A"
host = "a"
max_associations = 2
[[dicom.allowed_peers]]
ae = "A"
host = "b"
"""
DESTINATION = '[[destination]]\nname = "pacs"\nae = "PACS"\nhost = "10.0.0.5"\nport = 104\n'


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("MOME_"):
            monkeypatch.delenv(name)


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(content: str | bytes = "") -> Settings:
        path = tmp_path / "node.toml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return load_settings(path)

    return load


def sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """Every section of the tree with the path to it."""

    def below(path: str, section: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
        yield path, section
        for key, field in section.model_fields.items():
            for candidate in (field.annotation, *get_args(field.annotation)):
                if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                    yield from below(f"{path}.{key}".lstrip("."), candidate)

    return below("", Settings)


def test_every_key_has_a_description_and_every_section_a_docstring() -> None:
    without = [
        f"{path}.{key}"
        for path, section in sections()
        for key, field in section.model_fields.items()
        if path and not field.description
    ]
    assert without == []
    assert [path for path, section in sections() if not section.__doc__] == []


# The file that `mome-node init` writes


def test_the_written_file_parses_to_the_defaults(load: Load) -> None:
    assert load(default_settings_file()) == load("")


def test_the_written_file_names_every_key_with_its_description() -> None:
    text = default_settings_file()
    lines = {line.removeprefix("# ").partition(" = ")[0] for line in text.splitlines()}
    words = " ".join(line.removeprefix("# ") for line in text.splitlines())
    for path, section in sections():
        if path in {"", "dicom.allowed_peers", "model.when", "web.tokens"} or path.startswith(
            "fitness.known"
        ):
            continue  # their keys: an example, in one line
        assert f"[{path}]" in text
        assert section.__doc__ is not None
        assert section.__doc__ in words
        for key, field in section.model_fields.items():
            if f"[{path}.{key}]" in text:
                continue  # a section below this one, with keys of its own
            assert key in lines, f"{path}.{key}"
            assert field.description is not None
            assert field.description in words, f"{path}.{key}"


def test_what_the_written_file_comments_out_can_be_taken_in(load: Load, tmp_path: Path) -> None:
    commented = [
        line.removeprefix("# ").removeprefix("for example: ")
        for line in default_settings_file().splitlines()
        if " = " in line or line.startswith(("[", "# [["))
    ]
    empty = {
        *("also_called = []", "allowed_peers = []", "tokens = []"),
        *("known = []", "asserts = []", "when = {}"),
    }
    assert empty <= set(commented)
    taken = [line for line in commented if line not in empty]
    settings = load("\n".join(taken))
    assert settings.dicom.allowed_peers[0].ae == "PACS"
    assert settings.model[0].asserts == ("histology-proven invasive cancer",)
    assert settings.model[0].when.study_description
    assert settings.destination[0].port == 104
    assert settings.database_url == load("").database_url


def test_the_written_file_is_toml_in_ascii() -> None:
    assert tomllib.loads(default_settings_file())["dicom"]["port"] == 11112
    assert default_settings_file().isascii()


# Environment beats file beats default


def test_environment_beats_file_beats_default(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load().dicom.port == 11112
    assert load("[dicom]\nport = 104\n").dicom.port == 104
    monkeypatch.setenv("MOME_DICOM__PORT", "4242")
    settings = load("[dicom]\nport = 104\nmax_associations = 3\n")
    assert settings.dicom.port == 4242
    assert settings.dicom.max_associations == 3


def test_a_section_below_a_section_may_stand_in_the_environment(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MOME_DICOM__TLS__PORT", "2763")
    settings = load('[dicom.tls]\ncertificate = "a.pem"\nkey = "a.key"\nport = 2764')
    assert settings.dicom.tls.port == 2763
    assert settings.dicom.tls.certificate == tmp_path / "a.pem"


@pytest.mark.parametrize("name", ["MOME_DICOM__ALLOW_ANY_PEER", "mome_dicom__allow_any_peer"])
def test_a_variable_may_be_written_in_either_case(
    load: Load, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "true")
    assert load().dicom.allow_any_peer is True


def test_a_list_in_the_environment_is_json_and_replaces_the_files(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOME_DICOM__ALLOWED_PEERS", '[{"ae": "CT", "host": "10.0.0.9"}]')
    monkeypatch.setenv("MOME_MODEL", '[{"package": "/models/a", "device": "cpu"}]')
    settings = load(f"[dicom]\nallowed_peers = [{PEER}]\n")
    assert [p.ae for p in settings.dicom.allowed_peers] == ["CT"]
    assert [(m.package, m.device) for m in settings.model] == [("/models/a", "cpu")]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("MOME_DICM__PORT", "1", "MOME_DICM__PORT: unknown section 'dicm'; allowed: node, dicom"),
        ("mome_dicm__port", "1", "mome_dicm__port: unknown section"),
        ("MOME_DICOM_PORT", "1", "MOME_DICOM_PORT: unknown section"),
        ("MOME_PORT", "1", "MOME_PORT: unknown section"),
        ("MOME_DICOM__PROT", "1", "MOME_DICOM__PROT: unknown key; allowed: MOME_DICOM__HOST"),
        ("MOME_DICOM__PORT__X", "1", "unknown key"),
        ("MOME_DICOM__TLS", "1", "unknown key; allowed: MOME_DICOM__TLS__CERTIFICATE"),
        ("MOME_DICOM__TLS__KEYS", "1", "unknown key; allowed: MOME_DICOM__TLS__CERTIFICATE"),
        ("MOME_DICOM__TLS__PORT", "x", "dicom.tls.port: found 'x'; allowed: a whole number"),
        ("MOME_DICOM", '{"port": 1}', "MOME_DICOM: unknown key; allowed: MOME_DICOM__HOST"),
        ("MOME_DICOM__PORT", "x", "dicom.port: found 'x'; allowed: a whole number"),
        ("MOME_DICOM__PORT", "", "dicom.port: found ''; allowed: a whole number"),
        ("MOME_DICOM__ALLOWED_PEERS", "PACS", "found 'PACS'; allowed: a list as JSON"),
        ("MOME_DICOM__ALLOWED_PEERS", '[{"ae": "A"}]', "dicom.allowed_peers.0.host: missing"),
        ("MOME_MODEL", '[{"package"', "MOME_MODEL: found"),
        ("MOME_MODEL", "[" * 100_000, "allowed: a list as JSON"),
        ("MOME_MODEL__0__PACKAGE", "demo", "allowed: MOME_MODEL, with the whole list as JSON"),
        ("MOME_ASSEMBLY__REQUIRED", '["dce", "ct"]', "assembly.required.1: found 'ct'"),
    ],
)
def test_a_wrong_variable_is_refused_with_what_is_allowed(
    load: Load, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load()
    assert told in str(caught.value)


# Unknown keys and values that are not allowed


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('[dicom.tls]\ncertificate = "a"', "dicom.tls.key: missing; TLS needs certificate and key"),
        ('[dicom.tls]\nclient_ca = "a"', "dicom.tls.certificate: missing"),
        ("[dicom]\nplain = false", "dicom.plain: found false; allowed: true, as there is no TLS"),
        (
            '[dicom]\nport = 2762\n[dicom.tls]\ncertificate = "a"\nkey = "b"',
            "dicom.tls.port: found 2762; allowed: another port than dicom.port",
        ),
        ('[dicom.tls]\nminimum = "1.1"', "dicom.tls.minimum: found '1.1'; allowed: '1.2' or '1.3'"),
        (
            '[dicom]\nallowed_peers = [{ ae = "A", host = "10.1.2.3/24" }]',
            "allowed: an address, a name, or a network such as 10.1.2.0/24",
        ),
        (
            DIFFERING_LIMITS,
            "dicom.allowed_peers.1.max_associations: found None; allowed: what the other entry",
        ),
        (
            "[storage]\nmin_free_mb = 2000\nresume_free_mb = 1000",
            "storage.resume_free_mb: found 1000; allowed: at least storage.min_free_mb",
        ),
        ("prot = 1", "prot: unknown key; allowed here: node, dicom, storage"),
        ('_env_file = "x"', "_env_file: unknown key; allowed here: node, dicom"),
        ("_cli_parse_args = true", "_cli_parse_args: unknown key"),
        ("[dicm]\nport = 1", "dicm: unknown key; allowed here: node, dicom"),
        ("[dicom]\nprot = 1", "dicom.prot: unknown key; allowed here: host, port, plain"),
        (
            '[[model]]\npackage = "demo"\ndevise = "cpu"',
            "model.0.devise: unknown key; allowed here: package, device",
        ),
        (
            '[dicom]\nallowed_peers = [{ ae = "A", host = "h", address = 1 }]',
            "dicom.allowed_peers.0.address: unknown key; allowed here: ae, host",
        ),
        (DESTINATION + "uri = 1", "destination.0.uri: unknown key; allowed here: name, kind, ae"),
        ("[[model]]", "model.0.package: missing"),
        ('[[destination]]\nname = "a"', "destination.0.port: missing"),
        ("dicom = 1", "dicom: found 1; allowed: a section"),
        ("[[dicom]]\nport = 1", "dicom: found [{'port': 1}]; allowed: a section"),
        ('[model]\npackage = "demo"', "allowed: a list of sections, each headed [[model]]"),
        ("[dicom]\nport = 0", "dicom.port: found 0; allowed: greater than or equal to 1"),
        ("[dicom]\nport = 65536", "dicom.port: found 65536; allowed: less than or equal to 65535"),
        ("[dicom]\nport = true", "dicom.port: found True; allowed: a number"),
        ("[dicom]\nport = 1.5", "dicom.port: found 1.5; allowed: a whole number"),
        ("[dicom]\nport = 2020-01-01", "allowed: a whole number"),
        ('[dicom]\nallow_any_peer = "perhaps"', "found 'perhaps'; allowed: true or false"),
        ("[dicom]\nmax_associations = 0", "dicom.max_associations: found 0"),
        ("[assembly]\nquiet_s = nan", "assembly.quiet_s: found nan"),
        ("[assembly]\nquiet_s = inf", "assembly.quiet_s: found inf"),
        ("[assembly]\nquiet_s = -1", "assembly.quiet_s: found -1"),
        ("[assembly]\ndeadline_s = 0", "assembly.deadline_s: found 0"),
        ('[assembly]\nrequired = ["dce", "ct"]', "assembly.required.1: found 'ct'; allowed: 'dce'"),
        ('[assembly]\nrequired = "dce"', "assembly.required: found 'dce'; allowed: a list"),
        ('[[model]]\npackage = "demo"\ndevice = "tpu"', "found 'tpu'; allowed: 'auto', 'cpu'"),
        ('[[model]]\npackage = " "', "model.0.package: found"),
        (
            '[[model]]\npackage = "a"\nexplain = "no"',
            "model.0.explain: found 'no'; allowed: 'auto'",
        ),
        (
            '[[model]]\npackage = "a"\nprecision = "half"',
            "found 'half'; allowed: 'auto', 'float32'",
        ),
        ('[[model]]\npackage = "a"\nasserts = ["cancer"]', "allowed: 'histology-proven invasive"),
        ('[[model]]\npackage = "a"\nasserts = "cancer"', "model.0.asserts: found 'cancer'"),
        (
            '[[model]]\npackage = "a"\nwhen = { patient_name = "x" }',
            "model.0.when.patient_name: unknown key; allowed here: study_description",
        ),
        ('[[model]]\npackage = "a"\nwhen = "x"', "model.0.when: found 'x'; allowed: a section"),
        (
            "[inference]\nthreads = -1",
            "inference.threads: found -1; allowed: greater than or equal",
        ),
        ("[inference]\ntime_limit_s = 0", "inference.time_limit_s: found 0; allowed: greater"),
        ("[inference]\ntime_limit_s = 86401", "inference.time_limit_s: found 86401"),
        ('[[model]]\npackage = "a\\u0000b"', "model.0.package: found"),
        (DESTINATION + 'kind = "hl7"', "destination.0.kind: found 'hl7'; allowed: 'dimse'"),
        ('[node]\ndata_dir = ""', "node.data_dir: found ''; allowed: a folder's path"),
        ('[node]\ndata_dir = "a\\u0000b"', "node.data_dir: found"),
        ('[node]\nlabel = "short"', "node.label: found 'short'"),
        ('[node]\nlabel = "bell \\u0007 and more"', "node.label: found"),
        ('[database]\nurl = ""', "database.url: found ''; allowed: sqlite:///PATH"),
        ('[database]\nurl = "catalog.db"', "allowed: sqlite:///PATH"),
        ('[database]\nurl = "sqlite://"', "allowed: sqlite:///PATH"),
        ('[database]\nurl = "sqlite:///:memory:"', "allowed: sqlite:///PATH"),
        ('[database]\nurl = "sqlite+aiosqlite:///x.db"', "allowed: sqlite:///PATH"),
        ("[database]\nurl = 5", "database.url: found 5; allowed: text"),
    ],
)
def test_a_wrong_key_or_value_is_refused_with_key_found_and_allowed(
    load: Load, content: str, told: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(content)
    assert told in str(caught.value)


def test_every_fault_is_told_at_once(load: Load) -> None:
    with pytest.raises(SettingsError) as caught:
        load("[dicom]\nport = 0\nhots = 1\n[assembly]\nquiet_s = -1\n")
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "dicom.port",
        "dicom.hots",
        "assembly.quiet_s",
    ]


def test_a_password_in_a_url_is_not_told(load: Load) -> None:
    with pytest.raises(SettingsError) as caught:
        load('[database]\nurl = "postgresql://node:hush@db/mome"')
    assert "hush" not in str(caught.value)
    assert "postgresql://***@db/mome" in str(caught.value)


@pytest.mark.parametrize("title", ["MOME", "A", "A" * 16, "MR 1.5T-BREAST", "a_b", "~!"])
def test_an_ae_title_of_the_standard_is_taken(load: Load, title: str) -> None:
    assert load(f"[node]\nae_title = {json.dumps(title)}").node.ae_title == title


def test_spaces_around_an_ae_title_do_not_count(load: Load) -> None:
    assert load('[node]\nae_title = "  MOME  "').node.ae_title == "MOME"


@pytest.mark.parametrize(
    "title", ["", "   ", "A" * 17, "A\\B", "M\u00d6ME", "A\nB", "A\tB", "A\x7f"]
)
@pytest.mark.parametrize("key", ["node", "peer", "destination"])
def test_an_ae_title_that_dicom_does_not_allow_is_refused(load: Load, title: str, key: str) -> None:
    written = json.dumps(title).replace("\x7f", "\\u007f")
    content = {
        "node": f"[node]\nae_title = {written}",
        "peer": f'[dicom]\nallowed_peers = [{{ ae = {written}, host = "h" }}]',
        "destination": DESTINATION.replace('"PACS"', written),
    }[key]
    with pytest.raises(SettingsError, match="1 to 16 ASCII characters"):
        load(content)


@pytest.mark.parametrize("host", ["pacs", "pacs.example.org", "10.0.0.5", "::1", "fe80::1%eth0"])
def test_a_host_is_a_name_or_an_address(load: Load, host: str) -> None:
    content = DESTINATION.replace("10.0.0.5", host)
    assert load(content).destination[0].host == host


@pytest.mark.parametrize("host", ["", " ", "a..b", "a b", "x" * 64, "http://pacs", "a\\u0000b"])
def test_what_no_resolver_takes_is_no_host(load: Load, host: str) -> None:
    with pytest.raises(SettingsError, match="a host name or an IP address"):
        load(DESTINATION.replace("10.0.0.5", host))


# Values that contradict each other


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (DESTINATION * 2, r"destination.name: found \['pacs', 'pacs'\]; allowed: each name once"),
        ('[[model]]\npackage = "demo"\n' * 2, "model.package: .* each package once"),
        ('[[model]]\npackage = "a"\n[[model]]\npackage = "./b/../a"\n', "each package once"),
        ("[assembly]\nquiet_s = 60\ndeadline_s = 30\n", "deadline_s: found 30; .* at least"),
        ("[assembly]\nhard_limit_s = 900\n", "hard_limit_s: found 900; .* at least"),
        (
            '[[model]]\npackage = "a"\nwhen = { body_part = "breast" }\n',
            "model.0.when: found patterns; allowed: none where asserts is empty",
        ),
    ],
)
def test_values_that_contradict_each_other_are_refused(load: Load, content: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        load(content)


# What a site asserts, and of which studies


def test_conditions_are_those_that_a_package_may_ask_for() -> None:
    assert get_args(Condition) == CONDITIONS


def with_pattern(pattern: str) -> str:
    return (
        '[[model]]\npackage = "tnbc"\nasserts = ["histology-proven invasive cancer"]\n'
        f"when = {{ study_description = {json.dumps(pattern)} }}\n"
    )


@pytest.mark.parametrize(
    "pattern",
    [
        "staging",
        "neo.?adj|nact",
        r"\bmamm[ao]\b",
        "(pre|neo)?-?op",
        "a.*b.*c",
        "[)(*+]{2}",
        "(?:a|b)",
    ],
)
def test_patterns_of_a_careful_administrator_are_taken(load: Load, pattern: str) -> None:
    assert load(with_pattern(pattern)).model[0].when.study_description == pattern


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("(", "a regular expression, as Python has them"),
        ("a{2,1}", "a regular expression, as Python has them"),
        ("*", "a regular expression, as Python has them"),
        ("(a+)+$", "without repeated groups"),
        ("(a|aa)*$", "without repeated groups"),
        ("(?:ab?){20}", "without repeated groups"),
        ("(a)\\1", "without repeated groups, back references"),
        ("(?=a)b", "back references and (?...)"),
        ("(?i)a", "back references and (?...)"),
        (".*a.*b.*", "with fewer repeats"),
        ("(a)?" * 20 + "b", "with fewer repeats"),
        ("(ab|a)" * 20, "with fewer repeats"),
        ("", "at least 1 character"),
        ("x" * 201, "at most 200 characters"),
    ],
)
def test_a_pattern_that_is_none_or_could_search_for_ever_is_refused_at_start(
    load: Load, pattern: str, told: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(with_pattern(pattern))
    assert str(caught.value).startswith("model.0.when.study_description: found ")
    assert told in str(caught.value)


def test_patterns_are_searched_in_as_much_text_as_their_cost_is_reckoned_for() -> None:
    assert settings_values.SEARCHED == knowledge.SEARCHED


@given(pattern=st.text(alphabet="ab()[]{}|*+?.,12\\^:", max_size=12))
def test_whatever_is_written_as_a_pattern_is_taken_or_refused_in_words(pattern: str) -> None:
    model = {"package": "x", "asserts": [CONDITIONS[0]], "when": {"study_description": pattern}}
    with suppress(SettingsError):
        settings = parse_settings({"model": [model]}, base=Path("/srv"))
        assert settings.model[0].when.study_description == pattern


def test_what_a_model_may_do_reaches_the_inference_process(load: Load, tmp_path: Path) -> None:
    settings = load(
        '[inference]\nthreads = 3\ntime_limit_s = 90\n[[model]]\npackage = "demo"\n'
        'explain = "off"\nprecision = "float32"\nasserts = ["exam before treatment"]\n'
        'when = { protocol_name = "neo", body_part = "breast" }\n'
    )
    (choice,) = model_choices(settings)
    assert (choice.explain, choice.precision) == ("off", "float32")
    assert choice.asserts == ("exam before treatment",)
    assert choice.when == (("protocol_name", "neo"), ("body_part", "breast"))
    process = inference_process(settings)
    assert (process.threads, process.time_limit_s) == (3, 90)
    assert process.memory == tmp_path / "mome-data"


# Paths


def test_relative_paths_are_taken_from_the_files_folder(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    settings = load(
        '[node]\ndata_dir = "data"\n[database]\nurl = "sqlite:///kept/c.db"\n'
        '[[model]]\npackage = "models/a"\n[[model]]\npackage = "demo"\n'
    )
    assert settings.node.data_dir == tmp_path / "data"
    assert make_url(settings.database_url).database == str(tmp_path / "kept" / "c.db")
    assert [m.package for m in settings.model] == [str(tmp_path / "models" / "a"), "demo"]


def test_a_relative_settings_file_gives_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "node.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    assert load_settings(Path("node.toml")).node.data_dir == tmp_path / "mome-data"


def test_absolute_paths_stay(load: Load) -> None:
    settings = load('[node]\ndata_dir = "/srv/mome"\n[database]\nurl = "sqlite:////srv/c.db"\n')
    assert settings.node.data_dir == Path("/srv/mome")
    assert settings.database_url == "sqlite:////srv/c.db"


@pytest.mark.parametrize("name", ["data", "what? a # folder%41", "größe"])
def test_the_catalogue_lies_inside_the_data_directory_by_default(
    load: Load, tmp_path: Path, name: str
) -> None:
    url = load(f"[node]\ndata_dir = {json.dumps(name, ensure_ascii=False)}").database_url
    assert make_url(url).database == str(tmp_path / name / "catalog.db")


# The tree


def test_settings_cannot_be_changed(load: Load) -> None:
    settings = load()
    with pytest.raises(ValidationError):
        settings.dicom.port = 1  # type: ignore[misc]
    with pytest.raises(ValidationError):
        settings.dicom = settings.dicom  # type: ignore[misc]


# Files that are no settings


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff\xfe[node]", "not UTF-8 text, at byte 0"),
        ("[node]\nlabel = 'nur für Forschung'".encode("latin-1"), "not UTF-8 text, at byte"),
        (b"\x00" * 10, "cannot be read as TOML"),
        (b"[dicom", "cannot be read as TOML"),
        (b"a = " + b"[" * 50_000, "cannot be read as TOML"),
        (b"[dicom]\nport = " + b"9" * 5000, "cannot be read as TOML"),
        (b"[dicom]\nport = 0x" + b"f" * 5000, "dicom.port: found a number too long to show"),
        (b"[dicom]\nport = 1\nport = 2", "cannot be read as TOML"),
        (b"#" * (MAX_FILE_BYTES + 1), "larger than 1 MiB"),
    ],
    ids=["utf-16", "latin-1", "nul", "cut", "deep", "digits", "hex", "twice", "huge"],
)
def test_a_hostile_file_is_refused_in_words(load: Load, content: bytes, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(content)
    assert told in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_long_keys_and_values_are_cut_in_the_message(load: Load) -> None:
    with pytest.raises(SettingsError) as caught:
        load(f'"{"k" * 100_000}" = 1\n[dicom]\nport = "{"9" * 100_000}"\n')
    assert len(str(caught.value)) < 500


def test_thousands_of_faults_are_not_all_told(load: Load) -> None:
    with pytest.raises(SettingsError, match="and 4980 more"):
        load("".join(f"k{n} = 1\n" for n in range(5000)))


def test_an_editors_byte_order_mark_is_no_fault(load: Load) -> None:
    assert load(b"\xef\xbb\xbf[dicom]\r\nport = 105\r\n").dicom.port == 105


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file; `mome-node init` writes one"):
        load_settings(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match="Is a directory"):
        load_settings(tmp_path)


toml_values = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)
keys = st.sampled_from([k for _, s in sections() for k in s.model_fields]) | st.text(max_size=6)


@given(data=st.dictionaries(keys, st.dictionaries(keys, toml_values, max_size=3) | toml_values))
def test_any_values_at_all_give_settings_or_a_settings_error(data: dict[str, object]) -> None:
    with suppress(SettingsError):
        assert parse_settings(data, base=Path("/srv")).node.data_dir.is_absolute()


# Archives

PACS = '[[pacs]]\nname = "pacs"\nae = "PACS"\nhost = "10.0.0.5"\nport = 104\n'
WEB = '[[pacs]]\nname = "web"\nkind = "dicomweb"\nurl = "https://pacs.example.org/dicom-web"\n'


def test_an_archive_may_have_the_name_of_a_destination(load: Load) -> None:
    settings = load(DESTINATION + PACS + WEB)
    assert [p.name for p in settings.pacs] == ["pacs", "web"]
    assert settings.pacs[0].requests_per_s == 5


def test_files_of_an_archive_are_taken_from_the_settings_folder(load: Load, tmp_path: Path) -> None:
    (pacs,) = load(WEB + 'token_file = "secret/token"\nca_file = "/etc/ca.pem"').pacs
    assert (pacs.token_file, pacs.ca_file) == (tmp_path / "secret/token", Path("/etc/ca.pem"))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (PACS + PACS, "pacs.name: found ['pacs', 'pacs']; allowed: each name once"),
        ('[[pacs]]\nname = "a"', 'pacs.0.ae: missing; kind = "dimse" needs it'),
        ('[[pacs]]\nname = "a"\nkind = "dicomweb"', 'pacs.0.url: missing; kind = "dicomweb"'),
        (WEB.replace("https", "ftp"), "pacs.0.url: found 'ftp://pacs.example.org"),
        (WEB.replace("https://", "https://me:mine@"), "a secret goes into token_file"),
        (WEB.replace("/dicom-web", "/dicom-web?key=x"), "without user, password, ? and #"),
        (WEB.replace("https", "http") + 'token_file = "t"', "cross the network in the clear"),
        (PACS + "requests_per_s = 0", "pacs.0.requests_per_s: found 0"),
        (PACS + 'kind = "hl7"', "pacs.0.kind: found 'hl7'; allowed: 'dimse' or 'dicomweb'"),
    ],
)  # fmt: skip
def test_an_archive_that_cannot_be_asked_is_refused(load: Load, content: str, fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(content)
    assert fault in str(caught.value)
    assert "me:mine" not in str(caught.value)


def test_a_token_may_go_to_this_machine_in_the_clear(load: Load) -> None:
    local = WEB.replace("https://pacs.example.org", "http://127.0.0.1:8042")
    assert load(local + 'token_file = "token"').pacs[0].token_file is not None


# Destinations

STOW = (
    '[[destination]]\nname = "web"\nkind = "dicomweb"\nurl = "https://pacs.example.org/dicom-web"\n'
)
LOOSE = '[[model]]\npackage = "demo"\nallow_synthetic_on_patients = true\n'


def test_nothing_leaves_the_node_before_somebody_says_so(load: Load) -> None:
    (policy,) = site_policy(load(DESTINATION)).destinations
    assert policy.is_held
    assert policy.profile == ResultProfile()
    assert site_policy(load(DESTINATION)).routes[0].is_held
    assert 'visibility = "held"' in default_settings_file()


@pytest.mark.parametrize("visibility", ["research", "clinical"])
def test_who_sees_the_results_is_in_the_profile(load: Load, visibility: str) -> None:
    settings = load(DESTINATION + f'visibility = "{visibility}"\nlabel = "for our tumour board"')
    (policy,) = site_policy(settings).destinations
    assert not policy.is_held
    assert (policy.profile.audience, policy.profile.label) == (visibility, "for our tumour board")


def test_every_choice_of_a_destination_reaches_its_profile(load: Load) -> None:
    settings = load(
        '[node]\nlabel = "never for diagnosis"\n' + DESTINATION + 'objects = ["summary", "sr"]\n'
        'study_scores = "group"\nencoding = "rle"\ncharacter_set = "ISO_IR 100"\n'
        'max_frames = 200\nempty_frames = true\nseries_number = 700\nseries_name = "AI"\n'
    )
    (policy,) = site_policy(settings).destinations
    assert policy.profile == ResultProfile(
        objects=("sr", "summary"),
        study_scores="group",
        encoding="rle",
        character_set="ISO_IR 100",
        max_frames=200,
        empty_frames=True,
        series_number=700,
        series_name="AI",
        label="never for diagnosis",
    )


def test_the_order_in_which_objects_are_named_makes_no_other_objects(load: Load) -> None:
    one, other = load(DESTINATION + 'objects = ["seg", "sr"]'), load(DESTINATION)
    assert site_policy(one).profiles == site_policy(other).profiles


@pytest.mark.parametrize(
    ("key", "choice"),
    [
        ("objects", Kind),
        ("study_scores", StudyScores),
        ("encoding", Encoding),
        ("character_set", CharacterSet),
    ],
)
def test_a_destination_may_choose_what_results_can_be_made_in(key: str, choice: object) -> None:
    allowed = DestinationSettings.model_fields[key].annotation
    if key == "objects":
        allowed = get_args(allowed)[0]
    assert get_args(allowed) == get_args(choice)


def test_a_key_without_a_choice_makes_what_results_are_made_in_by_default(load: Load) -> None:
    assert site_policy(load(DESTINATION)).profiles == (DEFAULT_PROFILE,)


def test_files_of_a_destination_are_taken_from_the_settings_folder(
    load: Load, tmp_path: Path
) -> None:
    (web,) = load(STOW + 'token_file = "secret/token"\nca_file = "/etc/ca.pem"').destination
    assert (web.token_file, web.ca_file) == (tmp_path / "secret/token", Path("/etc/ca.pem"))


@pytest.mark.parametrize(
    ("content", "asked"),
    [
        (DESTINATION, "pacs"),
        (DESTINATION + PACS, "pacs"),
        (DESTINATION + 'verify = "web"\n' + WEB, "web"),
        (DESTINATION + 'verify = "none"\n' + PACS, None),
    ],
)
def test_who_is_asked_what_a_destination_has(load: Load, content: str, asked: str | None) -> None:
    settings = load(content)
    found = verifier_of(settings.destination[0], settings.pacs)
    assert (found.name if found else None) == asked
    assert isinstance(found, PacsSettings) == (found in settings.pacs)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (DESTINATION.replace('ae = "PACS"\n', ""), 'destination.0.ae: missing; kind = "dimse"'),
        (DESTINATION + 'kind = "dicomweb"', 'destination.0.url: missing; kind = "dicomweb" needs'),
        (STOW + "tls = true", "destination.0.tls: found true; allowed: false"),
        (STOW.replace("https", "http") + 'token_file = "t"', "cross the network in the clear"),
        (STOW.replace("https", "ftp"), "destination.0.url: found 'ftp://pacs.example.org"),
        (STOW + STOW, "destination.name: found ['web', 'web']; allowed: each name once"),
        (
            DESTINATION + 'verify = "vna"\n' + PACS,
            "destination.0.verify: found 'vna'; allowed: one of '', 'none', 'pacs'",
        ),
        (PACS.replace('name = "pacs"', 'name = "none"'), "pacs.name: found 'none'; allowed: ano"),
        (DESTINATION + "objects = []", "destination.0.objects: found []; allowed:"),
        (DESTINATION + 'objects = ["sr", "sr"]', "destination.0.objects: found ['sr', 'sr']"),
        (DESTINATION + 'objects = ["pdf"]', "destination.0.objects.0: found 'pdf'; allowed: 'sr'"),
        (DESTINATION + 'visibility = "all"', "destination.0.visibility: found 'all'; allowed: 'h"),
        (DESTINATION + "series_number = 0", "destination.0.series_number: found 0"),
        (DESTINATION + 'series_name = "a name that is too long"', "destination.0.series_name"),
        (
            DESTINATION + 'visibility = "clinical"\n' + LOOSE,
            "destination.0.visibility: found 'clinical'; allowed: 'held' or 'research', as model.0",
        ),
        (
            '[node]\nlabel = "nur für Forschung"\n' + DESTINATION + 'character_set = "ISO_IR 6"',
            "node.label: found 'nur für Forschung'; allowed: text that character_set = \"ISO_IR 6",
        ),
        (
            DESTINATION + 'character_set = "ISO_IR 100"\nlabel = "仅供研究使用，不用于诊断"',
            "destination.0.label: found",
        ),
        (
            DESTINATION + 'character_set = "ISO_IR 6"\nseries_name = "KI für MR"',
            "destination.0.series_name: found 'KI für MR'",
        ),
        ("[delivery]\nfirst_s = 60\nlongest_s = 30", "delivery.longest_s: found 30; allowed: at l"),
        ("[delivery]\ngive_up_h = 0", "delivery.give_up_h: found 0"),
    ],
)
def test_a_destination_that_cannot_be_served_is_refused(
    load: Load, content: str, fault: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(content)
    assert fault in str(caught.value)


def test_a_synthetic_model_may_not_evaluate_patients_for_clinicians_only(load: Load) -> None:
    for visibility in ("held", "research"):
        assert load(DESTINATION + f'visibility = "{visibility}"\n' + LOOSE).destination


def test_how_often_a_delivery_is_tried_again_is_what_the_settings_say(load: Load) -> None:
    policy = retry_policy(load("[delivery]\nfirst_s = 1\nlongest_s = 8\n").delivery)
    assert [policy.delay_s(n) for n in (1, 2, 3, 4, 5)] == [1, 2, 4, 8, 8]


# What a site says of the fitness of exams


def test_what_a_site_says_of_exams_reaches_every_model(load: Load) -> None:
    settings = load(
        '[fitness]\nrefuse = ["slice-gaps"]\nwarn = ["position-contradicts-anatomy"]\n'
        'ignore = ["contrast-agent-not-named"]\n'
        'known = [{ facts = ["implants"], when = { study_description = "implant" } }]\n'
        '[[model]]\npackage = "one"\n[[model]]\npackage = "two"\n'
    )
    choices = model_choices(settings)
    assert choices[0].fitness == choices[1].fitness
    assert choices[0].fitness.outcomes == {
        "slice-gaps": Outcome.REFUSE,
        "position-contradicts-anatomy": Outcome.WARN,
        "contrast-agent-not-named": Outcome.IGNORE,
    }
    assert choices[0].fitness.known == (Known(("implants",), (("study_description", "implant"),)),)


@pytest.mark.parametrize("outcome", ["refuse", "warn", "ignore"])
def test_an_unknown_code_is_refused_with_the_codes_that_there_are(load: Load, outcome: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(f'[fitness]\n{outcome} = ["slice-gap"]\n')
    told = str(caught.value)
    assert told.startswith(f"fitness.{outcome}.0: found 'slice-gap'; allowed: one of ")
    assert all(code in told for code in (CODES if outcome == "refuse" else ADJUSTABLE))


@pytest.mark.parametrize("outcome", ["warn", "ignore"])
@pytest.mark.parametrize("code", sorted(set(CODES) - set(ADJUSTABLE)))
def test_a_check_that_guards_safety_is_not_loosened_by_settings(
    load: Load, outcome: str, code: str
) -> None:
    with pytest.raises(SettingsError, match="no check that guards safety"):
        load(f'[fitness]\n{outcome} = ["{code}"]\n')


def test_a_check_in_two_lists_and_a_fact_that_is_none_are_refused(load: Load) -> None:
    with pytest.raises(SettingsError, match="found slice-gaps 2 times"):
        load('[fitness]\nwarn = ["slice-gaps"]\nignore = ["slice-gaps"]\n')
    with pytest.raises(SettingsError, match=r"fitness\.known\.0\.facts\.0: found 'tattoo'"):
        load('[fitness]\nknown = [{ facts = ["tattoo"] }]\n')


# The HTTP door


def test_the_http_door_is_closed_by_default_and_nobody_comes_in_without_a_token(load: Load) -> None:
    assert not load().web.enabled
    with pytest.raises(SettingsError, match=r"web\.tokens: missing"):
        load("[web]\nenabled = true\n")


TOKENS = 'tokens = [{ name = "gateway", file = "gateway.token" }]\n'


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('host = "0.0.0.0"\n', "web.host: found '0.0.0.0' without a certificate"),
        ('certificate = "node.pem"\n', "web.key: missing"),
        ('key = "node-key.pem"\n', "web.certificate: missing"),
        ("port = 0\n", "web.port: found 0"),
    ],
)
def test_tokens_never_cross_the_network_in_the_clear(load: Load, content: str, told: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(told)):
        load(f"[web]\nenabled = true\n{TOKENS}{content}")


@pytest.mark.parametrize("name", ["", "with blank", "é", "a/b", "x" * 41, "a\n"])
def test_a_token_has_a_plain_name_that_stands_once(load: Load, name: str) -> None:
    tokens = json.dumps(name)
    with pytest.raises(SettingsError, match=r"web\.tokens\.0\.name"):
        load(f'[web]\ntokens = [{{ name = {tokens}, file = "a" }}]\n')
    with pytest.raises(SettingsError, match="each name once"):
        load('[web]\ntokens = [{ name = "a", file = "1" }, { name = "a", file = "2" }]\n')


def test_files_of_the_http_door_are_taken_from_the_settings_folder(
    load: Load, tmp_path: Path
) -> None:
    files = 'certificate = "node.pem"\nkey = "keys/node.pem"\nhost = "10.0.0.7"\n'
    web = load(f"[web]\nenabled = true\n{TOKENS}{files}").web
    assert web.certificate == tmp_path / "node.pem"
    assert web.key == tmp_path / "keys" / "node.pem"
    assert web.tokens[0].file == tmp_path / "gateway.token"
