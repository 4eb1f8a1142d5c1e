"""URLs of the API views of approvals."""

from django.urls import path

from config.approvals import api

urlpatterns = [
    path("approvals", api.Approvals.as_view()),
    path("approvals/<str:approval_id>", api.OneApproval.as_view()),
    path("approvals/<str:approval_id>/approve", api.ApprovalApprove.as_view()),
    path("approvals/<str:approval_id>/reject", api.ApprovalReject.as_view()),
    path("approvals/<str:approval_id>/withdraw", api.ApprovalWithdraw.as_view()),
    path("approval-rules", api.Rules.as_view()),
    path("approval-rules/<str:rule>", api.OneRule.as_view()),
]
