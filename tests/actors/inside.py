"""Ways to write where nobody outside may lead us: hosts of URLs that reach this machine, its network or its cloud."""

NAMES = ["localhost", "LOCALHOST", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "loc\u00adalhost"]  # which only a look-up can judge
NUMBERS = [
    "127.0.0.1", "127.000.000.001", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0X7F.0.0.1", "017700000001",
    "0177.0.0.1", "0", "0.0.0.0", "00", "0x0", "10.0.0.1", "0xa.1", "167772161", "172.16.0.1", "192.168.0.1",
    "169.254.169.254", "2852039166", "0xA9FEA9FE", "169.254.43518", "100.64.0.1", "1681915905", "198.18.0.1",
    "224.0.0.1", "255.255.255.255", "4294967295",
    "[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "[::127.0.0.1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:0:7f00:1]",
    "[::ffff:10.0.0.1]", "[::ffff:a9fe:a9fe]", "[64:ff9b::7f00:1]", "[64:ff9b::169.254.169.254]", "[64:ff9b:1::a00:1]",
    "[2002:7f00:1::]", "[2002:a9fe:a9fe::1]", "[2001:0:7f00:1::]", "[fe80::1]", "[fe80::1%eth0]", "[fe80::1%1]",
    "[fec0::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[::1].example.org",
    "１２７.0.0.1", "127。0。0。1", "⑯⑨。②⑤④。⑯⑨｡②⑤④", "127\u00ad.0.0.1", "127\u200b.0.0.1",
    "ann:pw@127.0.0.1", "ann:example.org@127.0.0.1", "ann:pw@example.org@127.0.0.1", "ann:pw%40example.org@127.0.0.1",
]  # fmt: skip
NOWHERE = [  # what some look-ups take for an address, and ours for nothing at all: nobody is connected to either way
    "127.0.0.1.", "localhost.", "127.0.0.1%lo", "127.0.0.1%00.example.org", "[::1%lo]", "[fe80::1%25eth0]",
]  # fmt: skip
