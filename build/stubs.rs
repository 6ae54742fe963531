//! A service's stubs, from an interface file.
//!
//! For `interface a.b` a file `a.b.stubs.rs` is written with
//!
//! - a struct for the parameters of each method and for each type that a caller passes, reading
//!   itself from JSON and borrowing from the message (`object!` in `src/wire/object.rs`), or an enum,
//!   if that is what the type is (`word!`);
//! - the validation table: `INTERFACE`, with every method's and error's fields;
//! - a trait `Service` with one function a method, and `dispatch`, which calls it.
//!
//! The code that is written is as plain as can be; whatever needs thought stands in `src/wire`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use varlink_parser::{Argument, IDL, Method, VStruct, VStructOrEnum, VType, VTypeExt};

/// Writes the stubs of the interface file at `path` into `OUT_DIR`.
pub fn make(path: &str) {
    println!("cargo::rerun-if-changed={path}");
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let interface = IDL::try_from(text.as_str()).unwrap_or_else(|error| panic!("{path}: {error}"));
    let source = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join(path);

    let mut code = String::new();
    objects(&mut code, &interface);
    table(&mut code, &interface, &source);
    service(&mut code, &interface);

    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets it"))
        .join(format!("{}.stubs.rs", interface.name));
    fs::write(&out, code).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
}

/// The structs that are read from JSON: parameters, and the types that occur in them.
fn objects(code: &mut String, interface: &IDL) {
    for name in passed_types(interface) {
        match &interface.typedefs[name].elt {
            VStructOrEnum::VStruct(fields) => object(code, interface, name, fields),
            VStructOrEnum::VEnum(words) => word(code, name, &words.elts),
        }
    }
    for method in methods(interface) {
        object(code, interface, method.name, &method.input);
    }
}

fn word(code: &mut String, name: &str, words: &[&str]) {
    write!(code, "word! {{ {name} {{").unwrap();
    for word in words {
        write!(code, " {} = {word:?},", camel(word)).unwrap();
    }
    writeln!(code, " }} }}").unwrap();
}

fn object(code: &mut String, interface: &IDL, name: &str, fields: &VStruct) {
    write!(code, "object! {{ {name} {{").unwrap();
    for Argument { name, vtype } in &fields.elts {
        let rust_type = rust_type(interface, vtype);
        write!(code, " {}: {rust_type} = {name:?},", snake(name)).unwrap();
    }
    writeln!(code, " }} }}").unwrap();
}

/// The named types that callers pass, found from the parameters of the methods.
fn passed_types<'i>(interface: &'i IDL<'i>) -> BTreeSet<&'i str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&VStruct> = methods(interface).map(|method| &method.input).collect();
    while let Some(fields) = open.pop() {
        for name in fields
            .elts
            .iter()
            .filter_map(|field| type_name(&field.vtype))
        {
            if found.insert(name)
                && let VStructOrEnum::VStruct(inner) = &interface.typedefs[name].elt
            {
                open.push(inner);
            }
        }
    }
    found
}

fn type_name<'i>(vtype: &'i VTypeExt<'i>) -> Option<&'i str> {
    match vtype {
        VTypeExt::Array(inner) | VTypeExt::Dict(inner) | VTypeExt::Option(inner) => {
            type_name(inner)
        }
        VTypeExt::Plain(VType::Typename(name)) => Some(name),
        VTypeExt::Plain(_) => None,
    }
}

/// `INTERFACE`: what `src/wire/table.rs` checks parameters and, in tests, replies against.
fn table(code: &mut String, interface: &IDL, source: &Path) {
    for name in &interface.typedef_keys {
        let kind = match &interface.typedefs[name].elt {
            VStructOrEnum::VStruct(fields) => format!("Kind::Struct({})", field_list(fields)),
            VStructOrEnum::VEnum(words) => format!("Kind::Enum(&{:?})", words.elts),
        };
        writeln!(code, "static {}: Kind = {kind};", constant(name)).unwrap();
    }
    writeln!(
        code,
        "pub(crate) static INTERFACE: Interface = Interface {{"
    )
    .unwrap();
    writeln!(code, "name: {:?},", interface.name).unwrap();
    writeln!(code, "description: include_str!({source:?}),").unwrap();
    writeln!(code, "methods: &[").unwrap();
    for method in methods(interface) {
        let (inputs, outputs) = (field_list(&method.input), field_list(&method.output));
        let name = method.name;
        writeln!(
            code,
            "Method {{ name: {name:?}, inputs: {inputs}, outputs: {outputs} }},"
        )
        .unwrap();
    }
    writeln!(code, "],\nerrors: &[").unwrap();
    for name in &interface.error_keys {
        let fields = field_list(&interface.errors[name].parm);
        writeln!(code, "Error {{ name: {name:?}, fields: {fields} }},").unwrap();
    }
    writeln!(code, "] }};").unwrap();
}

fn field_list(fields: &VStruct) -> String {
    let fields: Vec<String> = fields
        .elts
        .iter()
        .map(|Argument { name, vtype }| {
            format!("Field {{ name: {name:?}, kind: {} }}", kind(vtype))
        })
        .collect();
    format!("&[{}]", fields.join(", "))
}

fn kind(vtype: &VTypeExt) -> String {
    match vtype {
        VTypeExt::Array(inner) => format!("Kind::Array(&{})", kind(inner)),
        VTypeExt::Option(inner) => format!("Kind::Nullable(&{})", kind(inner)),
        VTypeExt::Plain(VType::Bool) => "Kind::Bool".into(),
        VTypeExt::Plain(VType::Int) => "Kind::Int".into(),
        VTypeExt::Plain(VType::String) => "Kind::String".into(),
        VTypeExt::Plain(VType::Typename(name)) => format!("Kind::Named(&{})", constant(name)),
        _ => unimplemented!("our interfaces use named types, bool, int, string, one [] and one ?"),
    }
}

/// The trait `Service` and the function `dispatch`.
fn service(code: &mut String, interface: &IDL) {
    writeln!(
        code,
        "pub(crate) trait Service {{ type Call<'c>; type Answer;"
    )
    .unwrap();
    for method in methods(interface) {
        let (name, function) = (method.name, snake(method.name));
        writeln!(
            code,
            "fn {function}(&mut self, parameters: {name}<'_>, call: Self::Call<'_>) -> Self::Answer;"
        )
        .unwrap();
    }
    writeln!(code, "}}").unwrap();

    writeln!(
        code,
        "pub(crate) fn dispatch<S: Service>(service: &mut S, request: &Request<'_>, call: S::Call<'_>) \
         -> Result<S::Answer, Fault> {{ match request.member() {{"
    )
    .unwrap();
    for (index, method) in methods(interface).enumerate() {
        let (name, function) = (method.name, snake(method.name));
        let guard = match method.doc.contains("[Requires 'more' flag]") {
            true => "if !request.more { return Err(Fault::ExpectedMore); }",
            false => "",
        };
        writeln!(
            code,
            "{name:?} => {{ {guard} Ok(service.{function}(request.parameters.read(INTERFACE.methods[{index}].inputs)?, call)) }}"
        )
        .unwrap();
    }
    writeln!(code, "_ => Err(Fault::MethodNotFound) }} }}").unwrap();
}

/// The methods in the order of the file.
fn methods<'i>(interface: &'i IDL<'i>) -> impl Iterator<Item = &'i Method<'i>> {
    interface
        .method_keys
        .iter()
        .map(|name| &interface.methods[name])
}

fn rust_type(interface: &IDL, vtype: &VTypeExt) -> String {
    match vtype {
        VTypeExt::Array(inner) => format!("Items<{}>", rust_type(interface, inner)),
        VTypeExt::Option(inner) => format!("Option<{}>", rust_type(interface, inner)),
        VTypeExt::Plain(VType::Bool) => "bool".into(),
        VTypeExt::Plain(VType::Int) => "i64".into(),
        VTypeExt::Plain(VType::String) => "Text<'m>".into(),
        VTypeExt::Plain(VType::Typename(name)) => match interface.typedefs[name].elt {
            VStructOrEnum::VStruct(_) => format!("{name}<'m>"),
            VStructOrEnum::VEnum(_) => (*name).to_owned(),
        },
        _ => unimplemented!("our interfaces use named types, bool, int, string, one [] and one ?"),
    }
}

/// `lower_case` → `LowerCase`.
fn camel(word: &str) -> String {
    let capital = |part: &str| part[..1].to_ascii_uppercase() + &part[1..];
    word.split('_').map(capital).collect()
}

/// `keysOnly` → `keys_only`, `GetInfo` → `get_info`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for (index, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && index > 0 {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// `GetInfo` → `GET_INFO`.
fn constant(name: &str) -> String {
    snake(name).to_ascii_uppercase()
}
