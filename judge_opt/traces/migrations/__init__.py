"""Alembic migrations, run by `judge_opt.traces.migrate`."""
