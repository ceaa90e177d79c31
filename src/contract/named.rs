//! Enums whose values have one name each: in JSON, in the ledger, in outputs and in JSON Schema.

/// A name that an enum does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a known {what}")]
pub struct UnknownName {
    /// The enum in words: `job state`.
    pub what: &'static str,
    /// The name as read.
    pub name: String,
}

/// Declares an enum and lists the name of each value once.
///
/// From that list come `ALL`, `name`, `Display`, serde, the JSON Schema and `FromStr`, which refuses an unknown name.
macro_rules! named_enum {
    (
        $(#[$meta:meta])*
        pub enum $Enum:ident: $what:tt {
            $( $(#[$doc:meta])* $Value:ident = $name:tt, )+
        }
    ) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        $(#[$meta])*
        pub enum $Enum {
            $( $(#[$doc])* #[serde(rename = $name)] $Value, )+
        }

        impl $Enum {
            /// Every value, in the order of declaration.
            #[allow(dead_code, reason = "not every enum is listed")]
            pub const ALL: [$Enum; [$($name),+].len()] = [$($Enum::$Value),+];

            /// Returns the name that JSON, the ledger and outputs use.
            pub const fn name(self) -> &'static str {
                match self {
                    $( $Enum::$Value => $name, )+
                }
            }
        }

        impl std::fmt::Display for $Enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $Enum {
            type Err = $crate::contract::UnknownName;

            fn from_str(name: &str) -> std::result::Result<Self, Self::Err> {
                match name {
                    $( $name => Ok($Enum::$Value), )+
                    _ => Err($crate::contract::UnknownName { what: $what, name: name.to_owned() }),
                }
            }
        }
    };
}

pub(crate) use named_enum;

#[cfg(test)]
mod tests {
    named_enum! {
        /// A color.
        pub enum Color: "color" {
            /// Like leaves.
            Green = "green",
            /// Like snow.
            SnowWhite = "snow_white",
        }
    }

    #[test]
    fn names_are_read_back_and_unknown_ones_refused() {
        for color in Color::ALL {
            assert_eq!(color.name().parse(), Ok(color));
            let json = serde_json::to_value(color).expect("JSON");
            assert_eq!(json, serde_json::json!(color.name()));
            assert_eq!(serde_json::from_value::<Color>(json).ok(), Some(color));
        }
        let unknown = "mauve".parse::<Color>().expect_err("an unknown name");
        assert_eq!(unknown.to_string(), "\"mauve\" is not a known color");
    }
}
