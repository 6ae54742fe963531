//! The table that a chapter opens with.

/// Tests, each with the sentences that it proves. Each is a function of a
/// [`Scene`](crate::scene::Scene) and becomes two tests; only one of them where the other way to call
/// has no words for it, which is said with its reason. What neither has words for is said byte by byte.
macro_rules! proofs {
    ($($name:ident $((not by $way:ident: $why:literal))? {
        $($place:literal: $sentence:literal,)+
    })+) => {
        pub const PROVED: &[$crate::sentences::Sentence] = &[$($(($place, $sentence),)+)+];
        $(mod $name {
            proofs!(@plays $name $($way)?);
        })+
    };
    (@plays $name:ident) => {
        proofs!(@plays $name client);
        proofs!(@plays $name varlinkctl);
    };
    (@plays $name:ident either) => {
        #[test]
        fn by_hand() {
            super::$name(&mut $crate::scene::Scene::new($crate::scene::Way::Varlinkctl));
        }
    };
    (@plays $name:ident client) => {
        #[test]
        fn by_varlinkctl() {
            super::$name(&mut $crate::scene::Scene::new($crate::scene::Way::Varlinkctl));
        }
    };
    (@plays $name:ident varlinkctl) => {
        #[test]
        fn by_the_client() {
            super::$name(&mut $crate::scene::Scene::new($crate::scene::Way::Client));
        }
    };
}
