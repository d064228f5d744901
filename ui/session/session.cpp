// SPDX-License-Identifier: MIT
#include "ui/session/session.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "core/log.h"
#include "cpu/state/vcpu.h"
#include "ui/control/guest_input.h"
#include "ui/display/pool_table.h"
#include "ui/display/sdl_display.h"
#include "ui/monitor/monitor_server.h"
#include "ui/monitor/qmp_server.h"
#include "ui/options/char_option.h"
#include "ui/options/size_text.h"
#include "vmm/lines/char_open.h"
#include "vmm/lines/char_socket.h"

namespace shadowbox {

namespace {
constexpr auto kPowerButtonTime = std::chrono::seconds(10);
}

Session::Session(Invocation invocation)
    : invocation_(std::move(invocation)), console_(loop_, {invocation_.escape_key, 0, 1}) {}

Session::~Session() {
    // Nothing from outside may reach the guests while they go.
    signals_.reset();
    if (monitor_) monitor_->close();
    if (qmp_) qmp_->close();
    commands_.finish();
    display_.reset();
    pool_table_.reset();
    for (auto& port : ports_) port->disconnect();
    if (host_) host_->stop_all();
    console_.finish();
    guests_.clear();
    policies_.reset();
    host_.reset();  // before the ports, which its devices point at
}

Expected<void> Session::build() {
    u64 guest_bytes = 0;
    for (const MachineConfig& machine : invocation_.machines) guest_bytes += machine.memory_bytes;
    if (invocation_.translation_log.wanted()) {
        auto log = TranslationLog::create(invocation_.translation_log);
        if (!log) return tl::unexpected(log.error());
        translation_log_ = std::move(*log);
        invocation_.host.translations = translation_log_.get();
    }
    auto host = Host::create(invocation_.host, guest_bytes);
    if (!host) return tl::unexpected(host.error());
    host_ = std::move(*host);
    if (auto ok = build_guests(); !ok) return ok;
    policies_ = std::make_unique<MemoryPolicies>(*host_);
    if (auto ok = build_monitors(); !ok) return ok;
    if (invocation_.display == DisplayKind::kSdl) {
        auto display = SdlDisplay::create(*this);
        if (!display) return tl::unexpected(display.error());
        display_ = std::move(*display);
    }
    tell_notes();
    if (invocation_.pool_table) pool_table_ = std::make_unique<PoolTable>(*host_);
    return {};
}

/// Opens the outside ends of some lines of a machine; they are added to ports_.
Expected<std::vector<CharBackend*>> Session::open_lines(const MachineConfig& machine,
                                                        const std::vector<CharConfig>& lines) {
    std::vector<CharBackend*> backends;
    for (const CharConfig& line : lines) {
        auto config = parse_char_spec(line.spec, machine.chardevs);
        if (!config) return tl::unexpected(config.error());
        auto opened = open_char(*config, loop_, console_, machine.name);
        if (!opened) return tl::unexpected(opened.error());
        ports_.push_back(std::make_unique<CharPort>(std::move(opened->line), std::move(opened->log)));
        backends.push_back(ports_.back().get());
    }
    return backends;
}

Expected<void> Session::build_guests() {
    for (const MachineConfig& machine : invocation_.machines) {
        std::size_t first_port = ports_.size();
        auto serials = open_lines(machine, machine.serials);
        if (!serials) return wrap_error(serials.error(), "serial line of '{}'", machine.name);
        auto consoles = open_lines(machine, machine.consoles);
        if (!consoles) return wrap_error(consoles.error(), "virtio console of '{}'", machine.name);
        std::size_t serial_count = serials->size(), console_count = consoles->size();
        CharBackends lines{std::move(*serials), std::move(*consoles)};
        if (machine.debug_console) {
            auto debug = open_lines(machine, {machine.debug_console->line});
            if (!debug) return wrap_error(debug.error(), "debug console of '{}'", machine.name);
            lines.debug_console = debug->front();
        }
        auto vm = host_->add(machine, std::move(lines));
        if (!vm) return tl::unexpected(vm.error());
        guests_.push_back({*vm, std::make_unique<GuestInput>(**vm)});
        for (std::size_t i = first_port; i < ports_.size(); ++i) {
            std::size_t number = i - first_port;
            std::string name = number < serial_count ? fmt::format("serial{}", number)
                               : number < serial_count + console_count
                                   ? fmt::format("console{}", number - serial_count)
                                   : "debug-console";
            ports_[i]->connect((*vm)->journal(), name);
        }
        (*vm)->set_observer([this, id = (*vm)->id()](VmEvent event) { vm_event(id, event); });
    }
    return {};
}

Expected<std::unique_ptr<CharLine>> Session::monitor_line(const ChardevConfig& config) {
    if (config.kind == "stdio") return console_.add_monitor();
    auto opened = open_char(config, loop_, console_, "monitor");
    if (!opened) return tl::unexpected(opened.error());
    return std::move(opened->line);
}

Expected<void> Session::build_monitors() {
    if (invocation_.monitor && invocation_.monitor->kind != "null") {
        auto line = monitor_line(*invocation_.monitor);
        if (!line) return wrap_error(line.error(), "-monitor");
        monitor_ = std::make_unique<MonitorServer>(*this, commands_, std::move(*line),
                                                   invocation_.monitor->kind == "stdio");
    }
    if (invocation_.qmp && invocation_.qmp->kind != "null") {
        auto line = monitor_line(*invocation_.qmp);
        if (!line) return wrap_error(line.error(), "-qmp");
        qmp_ = std::make_unique<QmpServer>(*this, commands_, std::move(*line));
    }
    return {};
}

GuestInput& Session::input(VmId guest) {
    return *std::find_if(guests_.begin(), guests_.end(), [&](const Guest& g) {
                return g.vm->id() == guest;
            })->input;
}

ScreenSource* Session::screen(VmId guest) {
    VmHandle vm = host_->find(guest);
    return vm ? vm->screen() : nullptr;
}

void Session::quit() {
    std::lock_guard lock(mutex_);
    quit_ = true;
    changed_.notify_all();
}

void Session::stop_requested() {
    std::lock_guard lock(mutex_);
    ++stop_requests_;
    if (stop_requests_ > 1) console_.abandon();
    changed_.notify_all();
}

void Session::vm_event(VmId id, VmEvent event) {
    if (qmp_) qmp_->vm_event(id, event);
    if (event != VmEvent::kEnded) return;
    std::lock_guard lock(mutex_);
    changed_.notify_all();
}

/// Serial servers with wait=on: the guest starts when somebody listens.
void Session::wait_for_callers() {
    auto give_up = [this] {
        std::lock_guard lock(mutex_);
        return stop_requests_ > 0 || quit_;
    };
    std::vector<CharLine*> lines;
    for (auto& port : ports_)
        if (port->line()) lines.push_back(port->line());
    if (monitor_) lines.push_back(&monitor_->line());
    if (qmp_) lines.push_back(&qmp_->line());
    for (CharLine* line : lines) {
        if (line->wait_connected([] { return true; })) continue;
        spdlog::info("waiting for somebody to connect (wait=off starts without)");
        line->wait_connected(give_up);
    }
}

int Session::run() {
    signals_ = std::make_unique<StopSignals>(loop_, [this] { stop_requested(); });
    console_.on_quit([this] { quit(); });
    if (monitor_) monitor_->open();
    if (qmp_) qmp_->open();
    console_.start();
    wait_for_callers();
    bool wanted;
    {
        std::lock_guard lock(mutex_);
        wanted = stop_requests_ == 0 && !quit_;
    }
    if (wanted) {
        host_->start_all();
        wait_until_ended();
    }
    host_->stop_all();
    report();
    return exit_status();
}

void Session::tell_notes() const {
    for (const std::string& note : invocation_.notes) spdlog::info("{}", note);
    std::set<std::string> told;  // what one option said to all guests is said once
    for (const MachineConfig& machine : invocation_.machines)
        for (const std::string& note : machine.notes)
            if (told.insert(note).second) spdlog::warn("{}", note);
}

void Session::press_power_buttons() {
    unsigned running = 0;
    for (Guest& guest : guests_) {
        VmState state = guest.vm->state();
        const bool stands = state == VmState::kPaused || guest.vm->blocked_by(BlockReason::kPoolFull);
        if (stands)
            guest.vm->stop();  // and cannot answer
        else if (state == VmState::kRunning || state == VmState::kBlocked)
            guest.input->power_button(), ++running;
    }
    if (running) spdlog::info("power button pressed; forced stop in 10 s or by another signal");
}

void Session::wait_until_ended() {
    using Clock = std::chrono::steady_clock;
    Clock::time_point force_at = Clock::time_point::max();
    while (!host_->all_ended()) {
        bool stop_now = false, press = false;
        {
            std::unique_lock lock(mutex_);
            auto news = [&] {
                return quit_ || stop_requests_ > (force_at == Clock::time_point::max() ? 0u : 1u) ||
                       host_->all_ended();
            };
            auto until = std::min(force_at, Clock::now() + (display_ ? std::chrono::milliseconds(16)
                                                                     : std::chrono::milliseconds(60'000)));
            changed_.wait_until(lock, until, news);
            stop_now = quit_ || stop_requests_ > 1 || Clock::now() >= force_at;
            press = stop_requests_ == 1 && force_at == Clock::time_point::max();
        }
        if (display_ && display_->poll()) stop_requested();
        if (stop_now) {
            if (Clock::now() >= force_at) console_.abandon();
            return;
        }
        if (press) {
            force_at = Clock::now() + kPowerButtonTime;
            press_power_buttons();
        }
    }
}

void Session::report() {
    if (!invocation_.host.icount) return;
    for (const Guest& guest : guests_) {
        const VmRecord& record = guest.vm->record();
        std::fprintf(stderr, "%s: retired %llu instructions, memory hash %016llx\n", guest.vm->name().c_str(),
                     static_cast<unsigned long long>(record.retired),
                     static_cast<unsigned long long>(record.memory_hash));
    }
}

int Session::exit_status() const {
    int worst = 0;
    for (const Guest& guest : guests_) worst = std::max(worst, guest.vm->exit_status());
    return worst;
}

}  // namespace shadowbox
