"""The demo county's facilities and channels, as the county.toml that a hospital's IT would write."""

from __future__ import annotations

from pathlib import Path

TOML = """\
# Made by `yitong demo`: three facilities of one community and the systems that feed the hub.
[county]
name = "示范县医共体"
name_en = "Demo county medical community"
code = "339900"
zone = "+08:00"
catalogue = "county-demo"
community = "demo-1"

[[facility]]
code = "CTY"
name = "示范县人民医院"
name_en = "County People's Hospital"
kind = "A100"
grade = "二级甲等"
areas = ["county:339900", "prefecture:3399", "province:33", "national"]

[[facility]]
code = "TCM"
name = "示范县中医医院"
name_en = "County TCM Hospital"
kind = "A210"
grade = "二级乙等"
areas = ["county:339900", "prefecture:3399", "province:33", "national"]

[[facility]]
code = "TWP"
name = "青山镇中心卫生院"
name_en = "Qingshan Township Health Centre"
kind = "C210"
grade = "一级甲等"
parent = "CTY"
areas = ["county:339900", "prefecture:3399", "province:33", "national"]

# The laboratory systems: HL7 v2 over MLLP, one listener each. CTY writes GB18030 and does not say so.
[[channel]]
name = "cty-lis"
connector = "hl7v2_mllp"
facility = "CTY"
charset = "GB18030"
port = {mllp_cty}
maps = ["cty-item"]

[[channel]]
name = "tcm-lis"
connector = "hl7v2_mllp"
facility = "TCM"
port = {mllp_tcm}
maps = ["tcm-item"]

[[channel]]
name = "twp-lis"
connector = "hl7v2_mllp"
facility = "TWP"
port = {mllp_twp}
maps = ["twp-item"]

# Images and ECGs: one DICOM listener; the calling AE title says which facility sends.
[[channel]]
name = "county-pacs"
connector = "dicom"
port = {dicom}
ae_titles = {{ CTYPACS = "CTY", TCMPACS = "TCM", TWPECG = "TWP" }}

# Hospital information systems: read-only views, polled by change time.
{his}
# Clinical documents (WS/T 500), dropped into a folder.
{emr}"""

HIS = """\
[[channel]]
name = "{lower}-his"
connector = "sql"
facility = "{code}"
url = "sqlite:///{path}"
every = 1
{views}
"""

VIEWS = (
    ("v_patient", ("patient_id",)),
    ("v_visit", ("visit_id",)),
    ("v_diagnosis", ("visit_id", "seq")),
    ("v_order", ("order_id",)),
    ("v_prescription", ("rx_no", "item_no")),
)

EMR = """\
[[channel]]
name = "{lower}-emr"
connector = "files"
facility = "{code}"
folder = "{path}"
every = 0.5
"""


def write_county(folder: Path, *, ports: dict[str, int], his: dict[str, Path], emr: dict[str, Path]) -> Path:
    """Write county.toml into `folder`; `ports` holds mllp_cty, mllp_tcm, mllp_twp and dicom."""
    views = "\n".join(
        f'[[channel.views]]\nname = "{name}"\nkey = [{", ".join(f"{k!r}" for k in key)}]\nchanged_at = "changed_at"'.replace(
            "'", '"'
        )
        for name, key in VIEWS
    )
    text = TOML.format(
        **ports,
        his="".join(HIS.format(lower=c.lower(), code=c, path=p, views=views) + "\n" for c, p in his.items()),
        emr="".join(EMR.format(lower=c.lower(), code=c, path=p) + "\n" for c, p in emr.items()),
    )
    target = folder / "county.toml"
    target.write_text(text, "utf-8")
    return target
