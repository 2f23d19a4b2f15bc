"""The filter language of `search_traces`: a grammar, a tree, and SQL with bound values.

    feedback.is_correct = false AND (tags.env IN ('prod', 'stage') OR inputs.question LIKE '%refund%')

`docs/traces.md` describes it. The steps: `parse` (lark) makes the tree of `syntax`, `fields` knows the names,
`compile` makes SQLAlchemy expressions, `json_sql` has what differs between SQLite and PostgreSQL.
"""
