"""Settings → Backups: which backups were made, and whether they were verified."""

from django.contrib import admin
from django.template.defaultfilters import filesizeformat
from django.utils.safestring import SafeString
from unfold.decorators import display

from config.backups.models import Backup
from config.office.readonly import LongListAdmin
from config.office.wording import badge, moment


@admin.register(Backup)
class BackupAdmin(LongListAdmin):
    """Backups by `manage.py backup`, or by the schedule. `manage.py restore` restores one."""

    list_title = "Backups"
    list_display = ("started", "state", "took", "size_text", "rows_text", "verified", "problem")
    list_display_links = ("started",)
    fields = ("name", "state", "started", "took", "size_text", "tables", "rows_text", "verified", "problem")
    readonly_fields = fields
    empty_icon = "backup"
    empty_title = "No backups yet"
    empty_text = "Set BACKUP_DIR, then run manage.py backup, or wait for the nightly schedule."
    export_columns = (
        ("name", "name"),
        ("started_at", "started_at"),
        ("finished_at", "finished_at"),
        ("size", "size"),
        ("tables", "tables"),
        ("rows", "rows"),
        ("verified_at", "verified_at"),
        ("problem", "problem"),
    )

    @display(description="State")
    def state(self, backup: Backup) -> SafeString:
        if backup.problem:
            return badge("Failed", "danger")
        return badge("Verified", "success") if backup.verified_at else badge("Not verified", "warning")

    @display(description="Started", ordering="started_at")
    def started(self, backup: Backup) -> str:
        return moment(backup.started_at)

    @display(description="Took")
    def took(self, backup: Backup) -> str:
        return f"{(backup.finished_at - backup.started_at).total_seconds():,.0f} s"

    @display(description="Size")
    def size_text(self, backup: Backup) -> str:
        return filesizeformat(backup.size) if backup.size else "–"

    @display(description="Rows")
    def rows_text(self, backup: Backup) -> str:
        return f"{backup.rows:,}" if backup.rows else "–"

    @display(description="Restored and compared")
    def verified(self, backup: Backup) -> str:
        return moment(backup.verified_at)
