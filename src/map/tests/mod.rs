//! Tests of the map as a whole, on memory that can be taken apart.

mod crash;
mod full;
mod history;
mod hostile;
mod loom;
mod model;
mod mutations;
mod segment;
mod sim;
mod travel;
