//! The science: what the model is, neuron by neuron and synapse by synapse.
//!
//! - [`params`]: checked values, in steps; how weights and rates follow from them
//! - [`recipe`]: what a network is made of; [`network`]: where a neuron lives, the drawing of
//!   its sources
//! - [`neuron`]: the two neuron models; [`stimulus`]: their external input
//! - [`synapse`]: rows of synapses, the STDP law
//! - [`buffers`]: the two mailboxes between them: ring buffer and spike history

pub mod buffers;
pub mod network;
pub mod neuron;
pub mod params;
pub mod recipe;
pub mod stimulus;
pub mod synapse;
