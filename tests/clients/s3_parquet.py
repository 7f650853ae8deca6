"""pyarrow's own client of S3: a data set of Parquet files, written and read back by columns and partitions."""
import os

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import fs

s3 = fs.S3FileSystem(
    endpoint_override=os.environ["AWS_ENDPOINT_URL"].removeprefix("http://"),
    scheme="http",
    region="us-east-1",
    allow_bucket_creation=True,
    allow_bucket_deletion=True,
)
s3.create_dir("tables-of-arrow")
table = pa.table({"n": list(range(200_000)), "text": [f"row {n}" for n in range(200_000)], "part": [n % 3 for n in range(200_000)]})
pq.write_table(table, "tables-of-arrow/one.parquet", filesystem=s3)
assert pq.read_table("tables-of-arrow/one.parquet", filesystem=s3).equals(table)
assert pq.read_table("tables-of-arrow/one.parquet", columns=["n"], filesystem=s3).column("n").to_pylist() == list(range(200_000))
ds.write_dataset(table, "tables-of-arrow/parts", filesystem=s3, format="parquet", partitioning=["part"])
read = ds.dataset("tables-of-arrow/parts", filesystem=s3, format="parquet", partitioning=["part"])
assert read.count_rows() == 200_000 and read.count_rows(filter=ds.field("part") == 2) == 66_666
names = sorted(info.path for info in s3.get_file_info(fs.FileSelector("tables-of-arrow/parts", recursive=True)) if info.is_file)
assert len(names) == 3, names
s3.move("tables-of-arrow/one.parquet", "tables-of-arrow/two.parquet")
assert s3.get_file_info("tables-of-arrow/one.parquet").type == fs.FileType.NotFound
s3.delete_dir("tables-of-arrow")
