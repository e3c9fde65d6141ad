"""What may name somebody is marked for a reviewer, and the field's own words are not."""

from hotline.privacy.likely import likely


def test_names_plates_and_doors_are_marked_as_they_are_written() -> None:
    said = (
        "联系人马测试师傅说，户主李测试在家，王某某和欧阳先生住3号楼2单元501室，车牌青A12345，小李师傅修过。"
    )
    marked = ["马测试师傅", "李测试", "王某某", "欧阳先生", "3号楼2单元501室", "青A12345", "小李师傅"]
    assert likely(said) == marked


def test_words_of_the_field_are_not() -> None:
    said = (
        "希望尽快办理施工许可证，方便群众；严禁夜间施工，任务已转市住建局，金额3000元，2026年10月8日前答复。"
    )
    assert likely(said) == []
