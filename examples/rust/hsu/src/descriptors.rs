//! What the interfaces offer, by their descriptors.

use std::collections::{BTreeSet, HashMap};

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet, MethodDescriptorProto,
    ServiceDescriptorProto,
};
use sha2::{Digest, Sha256};

use crate::gen_core::{InterfaceInfo, MethodInfo};

/// All messages and services of some files, by their full names.
#[derive(Default)]
pub struct Descriptors {
    messages: HashMap<String, DescriptorProto>,
    services: HashMap<String, ServiceDescriptorProto>,
}

impl Descriptors {
    /// Reads serialised `FileDescriptorSet`s.
    pub fn read(sets: &[&[u8]]) -> Result<Self, String> {
        let mut all = Self::default();
        for set in sets {
            let files = FileDescriptorSet::decode(*set)
                .map_err(|error| format!("these are no descriptors: {error}"))?;
            for file in files.file {
                let package = file.package.clone().unwrap_or_default();
                for message in file.message_type {
                    all.add(&package, message);
                }
                for service in file.service {
                    all.services.insert(format!("{package}.{}", service.name()), service);
                }
            }
        }
        Ok(all)
    }

    fn add(&mut self, scope: &str, mut message: DescriptorProto) {
        let name = format!("{scope}.{}", message.name());
        for inner in std::mem::take(&mut message.nested_type) {
            self.add(&name, inner);
        }
        self.messages.insert(name, message);
    }

    /// What the handshake tells of an interface.
    pub fn interface(&self, name: &str) -> Result<InterfaceInfo, String> {
        let service = self.services.get(name).ok_or_else(|| {
            format!("{name}: its descriptors are not known; give them to Worker::descriptors")
        })?;
        let methods = service.method.iter().map(|method| MethodInfo {
            name: method.name().to_owned(),
            client_streaming: method.client_streaming(),
            server_streaming: method.server_streaming(),
            input: bare(method.input_type()),
            output: bare(method.output_type()),
        });
        Ok(InterfaceInfo {
            name: name.to_owned(),
            methods: methods.collect(),
            fingerprint: self.fingerprint(service),
        })
    }

    fn fingerprint(&self, service: &ServiceDescriptorProto) -> String {
        let mut lines = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for method in &service.method {
            lines.insert(method_line(method));
            self.reach(bare(method.input_type()), &mut seen, &mut lines);
            self.reach(bare(method.output_type()), &mut seen, &mut lines);
        }
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn reach(&self, name: String, seen: &mut BTreeSet<String>, lines: &mut BTreeSet<String>) {
        let Some(message) = self.messages.get(&name) else { return };
        if seen.insert(name.clone()) {
            for field in &message.field {
                lines.insert(field_line(&name, field));
                if field.r#type() == Type::Message {
                    self.reach(bare(field.type_name()), seen, lines);
                }
            }
        }
    }
}

fn method_line(method: &MethodDescriptorProto) -> String {
    let kind = |is_stream| if is_stream { 's' } else { 'u' };
    let (takes, gives) = (kind(method.client_streaming()), kind(method.server_streaming()));
    let (input, output) = (bare(method.input_type()), bare(method.output_type()));
    format!("M {} {takes}{gives} {input} {output}", method.name())
}

fn field_line(message: &str, field: &FieldDescriptorProto) -> String {
    let cardinality = if field.label() == Label::Repeated { "repeated" } else { "singular" };
    // TYPE_SINT64 is sint64 in a .proto.
    let kind = field.r#type().as_str_name().trim_start_matches("TYPE_").to_lowercase();
    let target = match bare(field.type_name()) {
        none if none.is_empty() => "-".to_owned(),
        name => name,
    };
    format!("F {message} {} {cardinality} {kind} {target}", field.number())
}

fn bare(name: &str) -> String {
    name.trim_start_matches('.').to_owned()
}
