from headrace.admin.app import AdminServer, create_app, serve

__all__ = ["AdminServer", "create_app", "serve"]
