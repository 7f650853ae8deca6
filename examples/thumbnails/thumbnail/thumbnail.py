"""Makes a thumbnail of what was uploaded. The same event twice writes the same thumbnail."""

import io
from urllib.parse import unquote_plus

import boto3
from PIL import Image, ImageOps, UnidentifiedImageError

SIDE_MAX = 160

s3 = boto3.client("s3")


def handler(event, context):
    for record in event["Records"]:
        bucket, key = record["s3"]["bucket"]["name"], unquote_plus(record["s3"]["object"]["key"])
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        try:
            small, was = shrunk(body)
        except UnidentifiedImageError:
            print(f"{key} is no image")
            continue
        s3.put_object(
            Bucket=bucket,
            Key=key.replace("uploads/", "thumbnails/", 1),
            Body=small,
            ContentType="image/webp",
            CacheControl="max-age=86400",
            Metadata={"was": was},
        )


def shrunk(body):
    image = Image.open(io.BytesIO(body))
    was = f"{image.width} x {image.height} {image.format}"
    # Cameras say in the metadata which side is up.
    image = ImageOps.exif_transpose(image)
    image.thumbnail((SIDE_MAX, SIDE_MAX))
    out = io.BytesIO()
    image.convert("RGB").save(out, "WEBP")
    return out.getvalue(), was
