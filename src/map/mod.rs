//! Keys, values and revisions, with one writer.
