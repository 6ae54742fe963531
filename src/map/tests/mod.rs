//! Tests of the map as a whole, on memory that can be taken apart.

mod full;
mod model;
mod segment;
mod sim;
