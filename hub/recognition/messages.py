"""Every step and answer as a sentence, in Chinese and in English. Keys are Step.detail and Answer.reason."""

from __future__ import annotations

from collections.abc import Mapping

from hub.recognition.model import Answer, Step

RULES: Mapping[str, tuple[str, str]] = {
    "mapping": ("项目对照", "Item mapping"),
    "identity": ("同一患者", "Same person"),
    "status": ("结果状态", "Result status"),
    "context": ("就诊场景", "Setting"),
    "area": ("互认范围", "Area of recognition"),
    "tier": ("机构级别", "Facility tier"),
    "eqa": ("室间质评", "Quality evaluation"),
    "window": ("互认时限", "Validity window"),
    "specimen": ("标本", "Specimen"),
    "method": ("方法", "Method"),
    "unit": ("单位", "Unit"),
    "reference-range": ("参考区间", "Reference range"),
    "modality": ("检查类型", "Modality"),
    "body-part": ("部位", "Body part"),
    "laterality": ("侧别", "Laterality"),
    "contrast": ("增强", "Contrast"),
    "series": ("序列数", "Series"),
    "data": ("数据可用", "Data readable"),
    "newest": ("最新结果", "Newest result"),
}

DETAILS: Mapping[str, tuple[str, str]] = {
    "mapped": ("已对照到目录项目 {item}", "maps to catalogue item {item}"),
    "person-certain": ("结果与患者身份确定关联", "the result certainly belongs to this person"),
    "person-in-doubt": ("结果与患者的身份关联存疑", "whether the result belongs to this person is in doubt"),
    "status-pass": ("结果已审核（{status}）", "the result is final ({status})"),
    "status-fail": ("结果未审核或已作废（{status}）", "the result is not final or was withdrawn ({status})"),
    "context-allowed": ("“{context}”场景允许互认", "recognition is allowed in this setting ({context})"),
    "context-excluded": ("“{context}”场景不适用互认", "this setting is excluded from recognition ({context})"),
    "own-result": ("本机构结果", "the orderer's own result"),
    "same-community": ("同一医共体内互认", "both facilities belong to one medical community"),
    "mark-not-required": ("该项目不要求互认标识", "the item asks for no mark"),
    "mark-covers": ("已核实的互认标识（{scope}）覆盖本机构", "a verified mark ({scope}) covers the orderer"),
    "mark-too-narrow": ("互认标识（{scope}）低于要求的范围（{needed}）", "the mark ({scope}) is narrower than required ({needed})"),
    "mark-elsewhere": ("互认标识（{scope}）不覆盖本机构所在区域", "the verified mark ({scope}) does not cover the orderer"),
    "mark-lapsed": (
        "互认标识（{scope}）的质评证据现已失效，标识不再有效",
        "the evidence for the mark ({scope}) has lapsed since: it no longer counts",
    ),
    "mark-unverified": ("报告标注“{mark}”，但无质评证据支持", "the report claims “{mark}”, but no evidence supports it"),
    "no-mark": ("无互认标识，且不在同一医共体", "no mark, and not one community"),
    "tier-own": ("本机构结果，不比较级别", "own result: tiers are not compared"),
    "tier-same-community": ("同一医共体内不分级别", "inside one community tiers do not matter"),
    "tier-equal-or-upper": ("出具机构级别不低于本机构，应当互认", "the source is of the same or an upper tier: to be accepted"),
    "tier-lower-must": ("出具机构级别较低，目录规定应当互认", "the source is of a lower tier; the catalogue says accept"),
    "tier-lower-suggest": ("出具机构级别较低，可以互认", "the source is of a lower tier: may be accepted"),
    "tier-lower-ignored": ("出具机构级别较低，目录规定不互认", "the source is of a lower tier; the catalogue does not accept it"),
    "eqa-not-required": ("医共体内该项目不要求室间质评", "not required for this item inside the community"),
    "eqa-no-time": ("检测时间不明，无法核对室间质评", "without a time of performance it cannot be checked"),
    "eqa-passed": ("检测当日室间质评有效（{scheme} {round}，至 {to}）", "valid when performed ({scheme} {round}, until {to})"),
    "eqa-failed": ("检测当日室间质评不合格（{scheme} {round}）", "the laboratory had failed it ({scheme} {round})"),
    "eqa-out-of-date": (
        "检测当日室间质评不在有效期（{scheme} {round}，{from} 至 {to}）",
        "not in date when performed ({scheme} {round}, {from} to {to})",
    ),
    "eqa-none": ("该机构该项目无室间质评记录", "no quality evaluation of this laboratory for this item"),
    "time-missing": ("结果未注明时间（{clock}）", "the result states no time ({clock})"),
    "time-imprecise": ("时间“{stated}”不精确到日", "the time “{stated}” is not precise to the day"),
    "time-in-future": ("结果时间晚于当前时间", "the result's time lies in the future"),
    "window-not-set": ("目录未规定该场景的时限", "the catalogue sets no window for this setting"),
    "window-never": ("该场景（{context}）下不互认", "never recognised in this setting ({context})"),
    "window-inside": ("距今 {age} 天，时限 {days} 天", "{age} days old, window {days} days"),
    "window-over": ("距今 {age} 天，超出时限 {days} 天", "{age} days old, past the window of {days} days"),
    "not-asked": ("该项目不要求", "not asked for this item"),
    "implied-by-code": ("未单独注明，由项目代码确定（{accepted}）", "not stated apart; the code implies it ({accepted})"),
    "specimen-same": ("标本一致（{stated}）", "comparable ({stated})"),
    "specimen-differs": ("标本不同：{stated}，要求 {accepted}", "differs: {stated}, asked {accepted}"),
    "method-unstated": ("未注明方法，要求 {accepted}", "not stated, asked {accepted}"),
    "method-same": ("方法一致（{stated}）", "the same ({stated})"),
    "method-differs": ("方法不同：{stated}，要求 {accepted}", "differs: {stated}, asked {accepted}"),
    "unit-no-quantity": ("结果不是数值，无法比较（要求 {accepted}）", "the result is no quantity (asked {accepted})"),
    "unit-unstated": ("未注明单位，要求 {accepted}", "not stated, asked {accepted}"),
    "unit-converted": ("单位 {stated} 可换算为 {accepted}（UCUM）", "{stated} converts to {accepted} (UCUM)"),
    "unit-same": ("单位一致（{stated}）", "the same ({stated})"),
    "unit-differs": ("单位不同：{stated}，要求 {accepted}", "differs: {stated}, asked {accepted}"),
    "range-stated": ("附有参考区间", "stated with the result"),
    "range-missing": ("未附参考区间", "not stated with the result"),
    "modality-same": ("检查类型一致（{stated}）", "the same ({stated})"),
    "modality-differs": ("检查类型不同：{stated}，要求 {accepted}", "differs: {stated}, asked {accepted}"),
    "body-part-unstated": ("未注明部位，要求 {accepted}", "not stated, asked {accepted}"),
    "body-part-same": ("部位一致（{stated}）", "the same ({stated})"),
    "body-part-differs": ("部位不同：{stated}，要求 {accepted}", "differs: {stated}, asked {accepted}"),
    "laterality-unstated": ("未注明侧别，要求 {accepted}", "not stated, asked {accepted}"),
    "laterality-same": ("侧别一致（{stated}）", "the same ({stated})"),
    "laterality-differs": ("侧别不同：{stated}，要求 {accepted}", "differs: {stated}, asked {accepted}"),
    "contrast-unstated": ("未注明平扫或增强，要求 {accepted}", "not stated, asked {accepted}"),
    "contrast-same": ("增强方式一致（{stated}）", "the same ({stated})"),
    "contrast-differs": ("增强方式不同：{stated}，要求 {accepted}", "differs: {stated}, asked {accepted}"),
    "series-enough": ("序列 {stated} 个", "{stated} series"),
    "series-few": ("序列 {stated} 个，要求至少 {accepted} 个", "{stated} series, at least {accepted} asked"),
    "images-reachable": ("影像可调阅", "the images can be opened"),
    "images-unreachable": ("影像已登记但无法调阅", "the images are listed but cannot be opened"),
    "images-none": ("无影像", "no images"),
    "value-present": ("结果可读", "the value is readable"),
    "value-absent": ("无结果值", "no value"),
    "gone": ("结果已不存在或不可见", "the result is gone, or may not be seen"),
    "newest": ("为符合条件的最新结果", "the newest that qualifies"),
    "newest-is-another": ("另有更新的符合条件的结果", "a newer one qualifies"),
    "newest-not-in-question": ("未进入比较", "not in question"),
}

REASONS: Mapping[str, tuple[str, str]] = {
    "recognisable": ("已有可互认的结果，无需重复", "A result that need not be repeated exists"),
    "only-reference": ("有既往结果，仅供参考", "Earlier results exist, for reference only"),
    "no-candidate": ("未找到既往结果", "No earlier result was found"),
    "none-usable": ("既往结果未审核或身份存疑，不予采用", "Earlier results are not final, or whose they are is in doubt"),
    "unmapped": ("项目代码未对照到互认目录", "The code is not mapped to the catalogue"),
    "context-excluded": ("该场景不适用互认，结果仅供参考", "This setting is excluded; results are for reference only"),
}

CARD: Mapping[str, tuple[str, str]] = {
    "source": ("{county} · 检查检验结果互认", "{county} · Recognised results"),
    "topic": ("检查检验结果互认", "Mutual recognition of results"),
    "recognisable": (
        "{item} 已有可互认结果：{value}（{facility}，{age}）",
        "{item}: a result that need not be repeated: {value} ({facility}, {age})",
    ),
    "reference": (
        "{item} 有既往结果供参考：{value}（{facility}，{age}）",
        "{item}: an earlier result for reference: {value} ({facility}, {age})",
    ),
    "emergency": ("急诊参考（不影响开单）：{lines}", "For reference in an emergency, the order goes on: {lines}"),
    "line": ("{item} {value}（{facility}，{age}）", "{item} {value} ({facility}, {age})"),
    "today": ("今天", "today"),
    "age": ("{days} 天前", "{days} days ago"),
    "no-age": ("时间不明", "time unknown"),
    "row.value": ("结果", "Result"),
    "row.conclusion": ("诊断意见（不属互认内容）", "Conclusion (no part of what is recognised)"),
    "row.date": ("时间", "When"),
    "row.facility": ("出具机构", "Institution"),
    "row.mark": ("互认标识", "HR mark"),
    "row.eqa": ("室间质评", "Quality evaluation"),
    "row.duty": ("互认要求", "Duty"),
    "row.why": ("不能互认的原因", "Why it does not count"),
    "mark.verified": ("已核实：{scopes}", "verified: {scopes}"),
    "mark.claimed": ("报告标注“{mark}”，未经核实", "the report claims “{mark}”, not verified"),
    "mark.none": ("无", "none"),
    "eqa.valid": ("现行有效", "valid today"),
    "eqa.failed": ("现为不合格", "failed by now"),
    "eqa.lapsed": ("现已过期", "lapsed by now"),
    "eqa.none": ("无记录", "no record"),
    "duty.must": ("应当互认", "to be accepted"),
    "duty.may": ("可以互认", "may be accepted"),
    "suggestion": ("互认该结果，不再重复检查", "Recognise the result, do not repeat"),
    "delete": ("撤销该项目的开单", "Take the order back"),
    "link.report": ("查看报告与影像", "Report and images"),
    "link.prompt": ("互认或说明重复检查的理由", "Recognise, or say why it is repeated"),
    "decided.recognised": ("本次就诊已互认", "recognised in this visit already"),
    "citation": (
        "互认{facility} {day} 的{item}结果：{value}。依据检查检验结果互认管理办法，本次不再重复检查。",
        "Recognised: {item} {value}, {facility}, {day}. Not repeated.",
    ),
}


def card(key: str, language: str, **params: str) -> str:
    """A sentence of what a doctor is shown while ordering."""
    return _pick(CARD[key], language).format_map(params)


def _pick(pair: tuple[str, str], language: str) -> str:
    return pair[1] if language.startswith("en") else pair[0]


def rule_name(step: Step, language: str) -> str:
    return _pick(RULES[step.rule], language)


def detail(step: Step, language: str) -> str:
    return _pick(DETAILS[step.detail], language).format_map(step.params)


def reason(answer: Answer, language: str) -> str:
    return _pick(REASONS[answer.reason], language)


def gone(language: str) -> str:
    """Of a result that a prompt offered and that is not there any more."""
    return _pick(DETAILS["gone"], language)
