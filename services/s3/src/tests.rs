//! What the objects of a bucket may not come to: versions and keys under load, and the like.
