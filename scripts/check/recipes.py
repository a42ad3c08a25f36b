#!/usr/bin/env python3
"""Opens every artifact of a cache with DuckDB and pandas, and runs every ```sql, ```python and ```sh block of some pages.

    scripts/check/recipes.py CACHE PAGE.md…

Needs duckdb and pandas. scripts/check/recipes.sh calls it.
"""
import pathlib, re, subprocess, sys
import duckdb, pandas as pd

cache, pages = pathlib.Path(sys.argv[1]), sys.argv[2:]
opened = 0
for path in sorted(cache.rglob("*.parquet")):
    rows = len(pd.read_parquet(path))
    assert duckdb.sql(f"select count(*) from '{path}'").fetchall()[0][0] == rows, path
    opened += 1
print(f"{opened} artifacts open in DuckDB and pandas")

place = duckdb.sql("select count(*), count(distinct image), count(distinct (row, col)) from 'cache/latest/assign.parquet'").fetchall()[0]
assert place[0] == place[1] == place[2] > 0, place
total = duckdb.sql("select sum(cost) from 'cache/latest/assign.parquet'").fetchall()[0][0]
noted = duckdb.sql("select decode(value) from parquet_kv_metadata('cache/latest/assign.parquet') where decode(key) = 'tsne_grid.fact.cost'").fetchall()[0][0]
assert abs(total - float(noted)) < 1e-9, (total, noted)

# Adds vectors of another model: a recipe has to use only those of the last run.
shard = next(cache.glob("embed/*/*.parquet"))
other = pd.read_parquet(shard)
other["embedding"] = [vector[:10] for vector in other["embedding"]]
(cache / "embed/another").mkdir()
other.to_parquet(cache / "embed/another/shard.parquet")

for page in pages:
    blocks = re.findall(r"```(sql|python|sh)\n(.*?)```", pathlib.Path(page).read_text(), re.S)
    assert blocks, f"{page} has recipes"
    for language, text in blocks:
        if language == "sql":
            for statement in filter(str.strip, text.split(";")):
                result = duckdb.sql(statement)
                print(result.limit(3) if result is not None else "")
        elif language == "sh":
            subprocess.run(["bash", "-euc", text], check=True)
        else:
            exec(compile(text, page, "exec"), {})
    print(f"{len(blocks)} recipes of {page} ran")
