//! `org.varlink.service`: who the service is and how to speak to it.

use super::prelude::*;
use super::reply::Reply;

include!(concat!(env!("OUT_DIR"), "/org.varlink.service.stubs.rs"));

/// What a service tells of itself.
pub(crate) struct Introspection {
    /// Its interfaces besides this one, in alphabetical order.
    pub(crate) interfaces: &'static [&'static Interface],
}

impl Introspection {
    /// All interfaces, in alphabetical order.
    fn all(&self) -> Vec<&'static Interface> {
        let mut all = [self.interfaces, &[&INTERFACE]].concat();
        all.sort_by_key(|interface| interface.name);
        all
    }

    /// The interface of this name.
    pub(crate) fn find(&self, name: &str) -> Option<&'static Interface> {
        self.all()
            .into_iter()
            .find(|interface| interface.name == name)
    }
}

impl Service for Introspection {
    type Call<'c> = Reply<'c>;
    type Answer = Result<(), Fault>;

    fn get_info(&mut self, _: GetInfo<'_>, reply: Reply<'_>) -> Result<(), Fault> {
        let names: Vec<&str> = self.all().iter().map(|interface| interface.name).collect();
        let mut parameters = reply.parameters();
        parameters.string("vendor", "The globstash authors");
        parameters.string("product", "globstash");
        parameters.string("version", env!("CARGO_PKG_VERSION"));
        parameters.string("url", "https://varlink.org/");
        parameters.strings("interfaces", &names);
        Ok(())
    }

    fn get_interface_description(
        &mut self,
        parameters: GetInterfaceDescription<'_>,
        reply: Reply<'_>,
    ) -> Result<(), Fault> {
        let interface = self
            .find(&parameters.interface)
            .ok_or_else(|| Fault::InterfaceNotFound(parameters.interface.to_string()))?;
        reply
            .parameters()
            .string("description", interface.description);
        Ok(())
    }
}
