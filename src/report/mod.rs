//! A page that shows what runs did: figures and numbers, one HTML file and nothing beside it.

mod many;
mod one;
