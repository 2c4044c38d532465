"""What a summary says in its own words, in Chinese and English. Names of diagnoses, drugs and tests stay the sources' own."""

from __future__ import annotations

from typing import Literal

Language = Literal["zh-CN", "en"]
LANGUAGES: tuple[Language, ...] = ("zh-CN", "en")

_WORDS: dict[str, tuple[str, str]] = {
    "title": ("患者摘要（国际患者摘要 IPS）", "Patient summary (International Patient Summary)"),
    "intro": (
        "根据各成员机构上报的记录自动汇总，未经医师审签；内容以原始记录为准。",
        "Put together automatically from what the member facilities reported; no physician signed it. The source records decide.",
    ),
    "made": ("生成时间", "Made"),
    "from": ("来源机构", "Sources"),
    "none": ("没有来源说明这一项。", "No source says anything about this."),
    "withheld": ("您的角色看不到这一项。", "Your role may not see this."),
    "cut": ("仅列出最近的 {n} 项。", "Only the latest {n} are listed."),
    "allergies": ("过敏与不良反应", "Allergies and intolerances"),
    "problems": ("诊断与健康问题", "Problems"),
    "medications": ("用药", "Medication"),
    "immunizations": ("预防接种", "Immunizations"),
    "results": ("检验检查结果", "Results"),
    "procedures": ("手术与操作", "Procedures"),
    "devices": ("医疗器械与植入物", "Medical devices"),
    "vitals": ("生命体征", "Vital signs"),
    "past": ("既往疾病", "Past problems"),
    "social": ("生活方式", "Social history"),
    "plan": ("诊疗计划", "Plan of care"),
    "alerts": ("警示", "Alerts"),
    "what": ("名称", "What"),
    "value": ("结果", "Result"),
    "range": ("来源参考范围", "The source's range"),
    "detail": ("说明", "Detail"),
    "when": ("时间", "When"),
    "where": ("机构", "Facility"),
    "high": ("高危", "high risk"),
    "low": ("低危", "low risk"),
    "dose": ("第 {n} 剂", "dose {n}"),
    "male": ("男", "male"),
    "female": ("女", "female"),
    "other": ("其他", "other"),
    "unknown": ("未说明", "not stated"),
    "name": ("姓名", "Name"),
    "gender": ("性别", "Sex"),
    "birthDate": ("出生日期", "Born"),
    "deceased": ("已故", "Deceased"),
    "yes": ("是", "yes"),
    "page": ("第 {n} / {of} 页", "page {n} of {of}"),
    "printed": ("打印人", "Printed by"),
}


def word(key: str, language: Language, **values: object) -> str:
    text = _WORDS[key][LANGUAGES.index(language)]
    return text.format_map(values) if values else text
