"""s3fs with pandas and pyarrow: Parquet written and read through fsspec, a data set in partitions, files moved and removed."""
import numpy
import pandas as pd
import pyarrow.dataset as ds
import s3fs

fs = s3fs.S3FileSystem(anon=False, client_kwargs={"region_name": "us-east-1"}, config_kwargs={"s3": {"addressing_style": "path"}})
B = "frames-of-pandas"
fs.mkdir(B)
frame = pd.DataFrame({
    "n": numpy.arange(100_000),
    "text": [f"row {n}" for n in range(100_000)],
    "at": pd.date_range("2026-01-01", periods=100_000, freq="min"),
    "part": numpy.arange(100_000) % 4,
})
options = {"client_kwargs": {"region_name": "us-east-1"}, "config_kwargs": {"s3": {"addressing_style": "path"}}}
frame.to_parquet(f"s3://{B}/one.parquet", storage_options=options)
pd.testing.assert_frame_equal(pd.read_parquet(f"s3://{B}/one.parquet", storage_options=options), frame)
some = pd.read_parquet(f"s3://{B}/one.parquet", columns=["n"], filters=[("n", "<", 10)], storage_options=options)
assert some["n"].tolist() == list(range(10))
frame.to_parquet(f"s3://{B}/parts", partition_cols=["part"], storage_options=options)
read = ds.dataset(f"{B}/parts", filesystem=fs, format="parquet", partitioning="hive")
assert read.count_rows() == 100_000 and read.count_rows(filter=ds.field("part") == 3) == 25_000
frame.head(50).to_csv(f"s3://{B}/some.csv", index=False, storage_options=options)
assert pd.read_csv(f"s3://{B}/some.csv", storage_options=options)["n"].sum() == 1225

# In several parts, and read from the middle.
body = bytes(range(256)) * 60_000
with fs.open(f"{B}/large", "wb", block_size=5 * 2**20) as file:
    for at in range(0, len(body), 1_000_003):
        file.write(body[at : at + 1_000_003])
assert fs.info(f"{B}/large")["size"] == len(body)
with fs.open(f"{B}/large", "rb") as file:
    file.seek(5 * 2**20 - 3)
    assert file.read(9) == body[5 * 2**20 - 3 : 5 * 2**20 + 6]
fs.mv(f"{B}/large", f"{B}/moved")
fs.invalidate_cache()
assert not fs.exists(f"{B}/large") and fs.exists(f"{B}/moved")
assert len(fs.glob(f"{B}/parts/**/*.parquet")) == 4
try:
    fs.open(f"{B}/none", "rb").read()
    raise AssertionError("what is not there was read")
except FileNotFoundError:
    pass
fs.rm(B, recursive=True)
assert not fs.exists(B)
