"""An embedded BOSS: enough of the BOSS v1 API, over one folder, that unmodified clients work against it."""
