"""报告下载 over HTTP: a report as PDF, Word, Excel or CSV. What is read is read and recorded first; the file is made without a transaction."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Response

from api.problems import PROBLEMS
from api.wiring import ReadDep
from hotline.fields import KeyPath
from hotline.printing.fonts import chinese_fonts
from hotline.reporting import filing, printing
from workflow.vocabulary import AuditKind

router = APIRouter(prefix="/api/v1/reports", tags=["统计"], responses=PROBLEMS)


@router.get(
    "/{report}/document",
    summary="下载报告",
    operation_id="download_report",
    response_class=Response,
    responses={
        **PROBLEMS,
        200: {
            "content": {kind: {} for kind in printing.MEDIA_TYPES.values()},
            "description": "文件内容；报送后的报告每次下载逐字节相同",
        },
    },
)
def download_report(
    report: KeyPath,
    edge: ReadDep,
    form: Annotated[
        printing.Form, Query(alias="format", description="pdf、docx（Word）、xlsx（电子表格）或 csv")
    ] = "pdf",
) -> Response:
    """The report as a file: as filed, as reviewed, or of a draft as the figures stand now, which each page then says. Recorded."""
    found = filing.find(edge.session, edge.actor, report)
    folder = edge.runtime.settings.font_dir
    if form in printing.LETTERED:
        chinese_fonts(folder)
    printed, make = printing.prepared(edge.desk(), found, folder)
    told = {"report": report, "format": form, "filed": printed.hash is not None}
    edge.audit(AuditKind.REPORT_PRINTED, platform_id=found.platform_id, what=told)
    edge.session.commit()
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(printing.name_of(printed, form), safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": "private, no-store",
    }
    return Response(make(form), media_type=printing.MEDIA_TYPES[form], headers=headers)
