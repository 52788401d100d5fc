from fieldsvc.store.database import Database, migrate


async def test_a_second_migration_finds_nothing_to_do(database: Database) -> None:
    async with database.acquire() as connection:
        assert await migrate(connection) == []


async def test_ids_of_a_uuid7_go_to_their_quarter_and_others_to_the_default(database: Database) -> None:
    async with database.acquire() as connection:
        rows = await connection.fetch(
            """
            insert into event_id (id, day, shard, pos, content_hmac, received_at)
            select id, current_date, 0, 1, '\\x00', now() from unnest($1::uuid[]) as id
            returning id, tableoid::regclass::text as part
            """,
            [
                "019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44",
                "f2c1ca9e-6f0a-4c3e-9d0e-2f5a1b6c7d8e",
                "01ad8f3e-7c11-7d3a-9a51-0c5d8c1f2e44",
            ],
        )
    parts = {str(row["id"])[:4]: row["part"] for row in rows}
    assert parts["f2c1"] == "event_id_other"
    assert parts["01ad"].startswith("event_id_20")
