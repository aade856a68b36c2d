//! Closed sets of words, as the CRDs name them in an `enum`.

/// Declares an enum whose variants are words on the wire, with `Unknown` for a word of another version.
macro_rules! closed_set {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)+
            /// A word that this version does not know.
            Unknown(String),
        }

        impl $name {
            /// The word as it stands on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Unknown(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)+
                    other => Self::Unknown(other.to_owned()),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(deserializer).map(|text| Self::from(text.as_str()))
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "enum": [$($text),+] })
            }
        }
    };
}

#[cfg(test)]
mod tests {
    closed_set! {
        /// Two words.
        Word {
            /// The first.
            #[default]
            First = "first",
            /// The second.
            Second = "Second",
        }
    }

    #[test]
    fn a_known_word_is_its_variant_both_ways() {
        assert_eq!(serde_json::from_str::<Word>("\"Second\"").unwrap(), Word::Second);
        assert_eq!(serde_json::to_string(&Word::Second).unwrap(), "\"Second\"");
        assert_eq!(Word::default().to_string(), "first");
    }

    #[test]
    fn an_unknown_word_is_kept() {
        let word: Word = serde_json::from_str("\"third\"").unwrap();
        assert_eq!(word, Word::Unknown("third".into()));
        assert_eq!(serde_json::to_string(&word).unwrap(), "\"third\"");
    }
}
