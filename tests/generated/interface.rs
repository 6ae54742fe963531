//! The manual page of the interface, from its file.
//!
//! Reads the lines of the file, which has a comment before everything that there is, because a
//! parser for varlink loses the comments of fields.

use std::mem;

use crate::roff::Roff;

/// A type, a method or an error.
#[derive(Debug, Default)]
struct Member {
    comment: String,
    /// With what it is: `method Set`.
    title: String,
    takes: Vec<Field>,
    gives: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    /// `key: string`, or a word.
    name: String,
    comment: String,
}

#[derive(Debug, Default)]
pub struct Interface {
    comment: String,
    members: Vec<Member>,
}

impl Interface {
    pub fn read(text: &str) -> Interface {
        let mut interface = Interface::default();
        let mut comment = Vec::new();
        let mut member = None::<Member>;
        let mut gives = false;
        for line in text.lines() {
            let line = line.trim();
            let mut take_comment = || mem::take(&mut comment).join("\n");
            if let Some(text) = line.strip_prefix('#') {
                comment.push(text.trim_start().to_owned());
            } else if line.starts_with("interface ") {
                interface.comment = take_comment();
            } else if ["type ", "method ", "error "]
                .iter()
                .any(|it| line.starts_with(it))
            {
                let (title, rest) = line.split_once('(').expect("fields follow");
                let new = Member {
                    comment: take_comment(),
                    title: title.trim().to_owned(),
                    ..Member::default()
                };
                gives = rest.starts_with(") -> (");
                member = Some(new);
            } else if line == ") -> (" {
                gives = true;
            } else if line == ")" {
                interface.members.extend(member.take());
            } else if !line.is_empty() {
                let member = member.as_mut().expect("fields belong to something");
                let fields = match gives {
                    true => &mut member.gives,
                    false => &mut member.takes,
                };
                fields.push(Field {
                    name: line.trim_end_matches(',').to_owned(),
                    comment: take_comment(),
                });
            }
        }
        interface
    }

    pub fn description(&self) -> String {
        let mut roff = Roff::default();
        for paragraph in self.comment.split("\n\n") {
            roff.paragraph(paragraph);
        }
        roff.finish()
    }

    /// The part about all members of a kind: `type`, `method` or `error`.
    pub fn members(&self, kind: &str) -> String {
        let mut roff = Roff::default();
        for member in &self.members {
            if let Some(name) = member.title.strip_prefix(kind) {
                member.write(name.trim(), &mut roff);
            }
        }
        roff.finish()
    }
}

impl Member {
    fn write(&self, name: &str, roff: &mut Roff) {
        roff.subsection(name);
        let mut paragraphs = self.comment.split("\n\n");
        roff.text(paragraphs.next().unwrap_or_default());
        for paragraph in paragraphs {
            roff.paragraph(paragraph);
        }
        for field in &self.takes {
            roff.item(&field.name, &field.comment);
        }
        if !self.gives.is_empty() {
            roff.paragraph("It replies:");
        }
        for field in &self.gives {
            roff.item(&field.name, &field.comment);
        }
    }
}

#[test]
fn comments_belong_to_what_follows() {
    let interface = Interface::read(
        "# All.\n#\n# More.\ninterface a.b\n\n# What.\nmethod Do(\n\t# In.\n\tkey: string\n) -> (\n\
         \t# Out.\n\tcount: int,\n\t# Other.\n\tr: ?int\n)\n\n# None.\nmethod No() -> (\n\t# One.\n\
         \tone: int\n)\n\n# Wrong.\nerror Bad(\n\t# Why.\n\twhy: string\n)\n",
    );
    assert_eq!(interface.comment, "All.\n\nMore.");
    let told = |fields: &[Field]| -> Vec<String> {
        let told = |field: &Field| format!("{} {}", field.name, field.comment);
        fields.iter().map(told).collect()
    };
    let [one, two, three] = &interface.members[..] else {
        panic!("{interface:?}");
    };
    assert_eq!((&*one.title, &*one.comment), ("method Do", "What."));
    assert_eq!(told(&one.takes), ["key: string In."]);
    assert_eq!(told(&one.gives), ["count: int Out.", "r: ?int Other."]);
    assert_eq!(told(&two.takes), [""; 0]);
    assert_eq!(told(&two.gives), ["one: int One."]);
    assert_eq!(told(&three.takes), ["why: string Why."]);
}
