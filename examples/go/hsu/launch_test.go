package hsu

import (
	"os"
	"strings"
	"testing"
)

const (
	testInstance = "0123456789abcdef0123456789abcdef"
	testToken    = "the-launchs-token"
)

func setLaunch(t *testing.T, changes map[string]string) {
	t.Helper()
	variables := map[string]string{
		"HSU_INSTANCE":     testInstance,
		"HSU_UNIT":         "unit",
		"HSU_LISTEN":       "unix:/run/a b.sock",
		"HSU_TOKEN":        testToken,
		"HSU_LIFELINE":     "none",
		"HSU_MASTER":       "tcp:127.0.0.1:7000",
		"HSU_MASTER_TOKEN": "the-masters-token",
	}
	for name, value := range changes {
		variables[name] = value
	}
	for name, value := range variables {
		t.Setenv(name, value)
	}
	t.Cleanup(func() { ownMaster.remember(Gateway{}) })
}

func TestALaunchIsTakenOutOfTheEnvironment(t *testing.T) {
	setLaunch(t, map[string]string{"HSU_OTHER": "stays"})
	l, err := takeLaunch()
	if err != nil {
		t.Fatal(err)
	}
	if l.instance != testInstance || l.unit != "unit" || l.token != testToken || l.hasLifeline {
		t.Errorf("wrong: %+v", l)
	}
	if want := (address{"unix", "/run/a b.sock"}); l.listen != want {
		t.Errorf("listens at %v, want %v", l.listen, want)
	}
	var left []string
	for _, variable := range os.Environ() {
		if strings.HasPrefix(variable, "HSU_") {
			left = append(left, variable)
		}
	}
	if len(left) != 1 || left[0] != "HSU_OTHER=stays" {
		t.Errorf("left in the environment: %v", left)
	}
	gateway, err := FindGateway("", "")
	if want := (Gateway{"tcp:127.0.0.1:7000", "the-masters-token"}); err != nil || gateway != want {
		t.Errorf("the master is %v, %v; want %v", gateway, err, want)
	}
}

func TestWithoutAnInstanceNothingIsTaken(t *testing.T) {
	t.Setenv("HSU_LISTEN", "nonsense")
	if l, err := takeLaunch(); l != nil || err != nil {
		t.Errorf("%v, %v", l, err)
	}
	if os.Getenv("HSU_LISTEN") != "nonsense" {
		t.Error("the variable is gone")
	}
}

func TestAllThatIsWrongWithALaunchIsToldAtOnce(t *testing.T) {
	setLaunch(t, map[string]string{
		"HSU_INSTANCE":     "XYZ",
		"HSU_LISTEN":       "unix:relative",
		"HSU_TOKEN":        "a secret",
		"HSU_ANNOUNCE_FD":  "987",
		"HSU_LIFELINE":     "rope",
		"HSU_MASTER":       "nowhere",
		"HSU_MASTER_TOKEN": "another secret",
	})
	_, err := takeLaunch()
	if err == nil {
		t.Fatal("it is taken")
	}
	for _, problem := range []string{
		`HSU_INSTANCE="XYZ": not 32 hex digits in lower case`,
		`HSU_LISTEN: address "unix:relative": the path is not absolute; ` + addressCure,
		`HSU_ANNOUNCE_FD="987": no such descriptor is open`,
		`HSU_LIFELINE="rope": neither "stdin" nor "none"`,
		`HSU_MASTER: address "nowhere": neither a Unix path nor TCP; ` + addressCure,
		`HSU_TOKEN: holds something else than printable ASCII without spaces`,
		`HSU_MASTER_TOKEN: holds something else than printable ASCII without spaces`,
	} {
		if !strings.Contains(err.Error(), problem) {
			t.Errorf("not told: %s\nin: %v", problem, err)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("a token is shown: %v", err)
	}
}

func TestTheAnnounceLineIsTheOneOfTheContract(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	l := &launch{instance: "6f1ed002ab5595859014ebf0951522d9", announce: write}
	if err := l.announceAt(address{"unix", "/run/user/1000/hsu/a b.sock"}); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 2000)
	n, _ := read.Read(line)
	if want := contractPage(t).code("The announce line", "text"); string(line[:n]) != want {
		t.Errorf("%q, want %q", line[:n], want)
	}
	if n, err := read.Read(line); n != 0 || err == nil {
		t.Error("the descriptor is still open")
	}
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]address{
		"unix:/run/a b.sock": {"unix", "/run/a b.sock"},
		"tcp:127.0.0.1:0":    {"tcp", "127.0.0.1:0"},
		"tcp:[::1]:7000":     {"tcp", "[::1]:7000"},
	} {
		if got, err := parseAddress(text); err != nil || got != want || got.String() != text {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "unix:", "unix:a", "unix:/" + strings.Repeat("a", 100), "unix:/ä",
		"tcp:", "tcp:127.0.0.1", "tcp::80", "tcp:host:70000", "tcp:host:x", "http://host",
	} {
		if got, err := parseAddress(text); err == nil {
			t.Errorf("%q is taken: %v", text, got)
		}
	}
}

func TestASocketThatNobodyListensAtIsReplacedAndNothingElse(t *testing.T) {
	at := address{"unix", t.TempDir() + "/a.sock"}
	first, _, err := at.listen()
	if err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(at.target); info.Mode().Perm() != 0o600 {
		t.Errorf("others can open it: %v", info.Mode())
	}
	if _, _, err := at.listen(); err == nil || !strings.Contains(err.Error(), "in use by another server") {
		t.Errorf("a second server: %v", err)
	}
	first.(interface{ SetUnlinkOnClose(bool) }).SetUnlinkOnClose(false)
	first.Close()
	second, _, err := at.listen()
	if err != nil {
		t.Fatalf("after the first one has gone: %v", err)
	}
	second.Close()
	if err := os.WriteFile(at.target, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := at.listen(); err == nil || !strings.Contains(err.Error(), "a file that is no socket") {
		t.Errorf("a file is in the way: %v", err)
	}
}

func TestAMasterIsFoundByFolderAddressAndVariables(t *testing.T) {
	folder := t.TempDir()
	tokenFile := folder + "/token"
	if err := os.WriteFile(tokenFile, []byte("of-the-folder\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket := "unix:" + folder + "/master.sock"
	for _, c := range []struct {
		name, where, file string
		variables         map[string]string
		want              Gateway
	}{
		{"folder", folder, "", nil, Gateway{socket, "of-the-folder"}},
		{"its socket", socket, "", nil, Gateway{socket, "of-the-folder"}},
		{"variables", "", "", map[string]string{"HSU_MASTER": "tcp:127.0.0.1:7", "HSU_MASTER_TOKEN": "x"},
			Gateway{"tcp:127.0.0.1:7", "x"}},
		{"a file that a variable names", "tcp:127.0.0.1:7", "",
			map[string]string{"HSU_MASTER_TOKEN_FILE": tokenFile}, Gateway{"tcp:127.0.0.1:7", "of-the-folder"}},
		{"a file", "tcp:127.0.0.1:7", tokenFile, map[string]string{"HSU_MASTER_TOKEN": "x"},
			Gateway{"tcp:127.0.0.1:7", "of-the-folder"}},
		{"no token", "tcp:127.0.0.1:7", "", nil, Gateway{"tcp:127.0.0.1:7", ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, name := range []string{"HSU_MASTER", "HSU_MASTER_TOKEN", "HSU_MASTER_TOKEN_FILE"} {
				t.Setenv(name, c.variables[name])
			}
			if got, err := FindGateway(c.where, c.file); err != nil || got != c.want {
				t.Errorf("%v, %v; want %v", got, err, c.want)
			}
		})
	}
	if err := os.Chmod(tokenFile, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := FindGateway(folder, ""); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a token that others can read: %v", err)
	}
	t.Setenv("HSU_MASTER", "")
	if _, err := FindGateway("", ""); err == nil || !strings.Contains(err.Error(), "HSU_MASTER is not set") {
		t.Errorf("no master: %v", err)
	}
}
