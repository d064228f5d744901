// SPDX-License-Identifier: MIT
#include "ui/display/sdl_display.h"

#include <SDL.h>
#include <SDL_syswm.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "ui/control/guest_input.h"
#include "ui/control/process_control.h"
#include "ui/display/sdl_keys.h"
#include "vmm/machine/host.h"
#include "vmm/machine/virtual_machine.h"
#include "vmm/screen/screen.h"

namespace shadowbox {

bool display_available() {
    for (const char* name : {"DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"}) {
        const char* value = std::getenv(name);
        if (value && *value) return true;
    }
    return false;
}

namespace {

#ifdef SDL_VIDEO_DRIVER_X11
unsigned long system_window(SDL_Window* window) {
    SDL_SysWMinfo info;
    SDL_VERSION(&info.version);
    return SDL_GetWindowWMInfo(window, &info) && info.subsystem == SDL_SYSWM_X11 ? info.info.x11.window : 0;
}
/// 0: no window was destroyed.
unsigned long destroyed_window(const SDL_SysWMmsg& message) {
    if (message.subsystem != SDL_SYSWM_X11 || message.msg.x11.event.type != DestroyNotify) return 0;
    return message.msg.x11.event.xdestroywindow.window;
}
/// Xlib ends the process at the first request about a window that is no more. SDL loads Xlib by itself, so it
/// is looked up, not linked.
void survive_lost_windows() {
    using Handler = int (*)(Display*, XErrorEvent*);
    void* library = dlopen("libX11.so.6", RTLD_LAZY | RTLD_NOLOAD);
    if (!library) return;
    if (auto set = reinterpret_cast<Handler (*)(Handler)>(dlsym(library, "XSetErrorHandler")))
        set([](Display*, XErrorEvent*) { return 0; });
    dlclose(library);
}
#else
unsigned long system_window(SDL_Window*) { return 0; }
unsigned long destroyed_window(const SDL_SysWMmsg&) { return 0; }
void survive_lost_windows() {}
#endif

constexpr int kTextWidth = 720, kTextHeight = 400;

/// Side by side while there is room, so that no guest hides another; a single one goes where the desktop
/// wants.
SDL_Point window_place(int index, int count) {
    constexpr int kGap = 40;  // title bar and frame
    SDL_Rect desktop{};
    if (count == 1 || SDL_GetDisplayUsableBounds(0, &desktop) != 0)
        return {static_cast<int>(SDL_WINDOWPOS_UNDEFINED), static_cast<int>(SDL_WINDOWPOS_UNDEFINED)};
    int columns = std::max(1, desktop.w / (kTextWidth + kGap)),
        rows = std::max(1, desktop.h / (kTextHeight + kGap));
    int cell = index % (columns * rows), layer = index / (columns * rows);
    return {desktop.x + cell % columns * (kTextWidth + kGap) + layer * kGap,
            desktop.y + cell / columns * (kTextHeight + kGap) + (layer + 1) * kGap};
}

/// SDL draws into a texture of the guest's size, and scales it with bars at the sides.
class GuestWindow {
 public:
    GuestWindow(VmHandle vm, GuestInput& input, ScreenSource* screen, SDL_Point at)
        : handle_(std::move(vm)), vm_(*handle_), input_(input), screen_(screen) {
        window_ =
            SDL_CreateWindow(title().c_str(), at.x, at.y, kTextWidth, kTextHeight, SDL_WINDOW_RESIZABLE);
        if (window_) renderer_ = SDL_CreateRenderer(window_, -1, 0);
        if (window_) system_id_ = system_window(window_);
    }
    ~GuestWindow() {
        if (lost_) return;  // freeing what X has freed already is an error
        if (texture_) SDL_DestroyTexture(texture_);
        if (renderer_) SDL_DestroyRenderer(renderer_);
        if (window_) SDL_DestroyWindow(window_);
    }
    GuestWindow(const GuestWindow&) = delete;
    GuestWindow& operator=(const GuestWindow&) = delete;

    bool made() const { return renderer_; }
    Uint32 id() const { return SDL_GetWindowID(window_); }
    bool alive() const { return vm_.state() != VmState::kPoweredOff && vm_.state() != VmState::kCrashed; }

    unsigned long system_id() const { return system_id_; }
    /// The window is gone: nothing may be drawn into it.
    void lost() { lost_ = true; }
    bool is_lost() const { return lost_; }

    void draw() {
        if (lost_) return;
        if (shown_title_ != title()) SDL_SetWindowTitle(window_, (shown_title_ = title()).c_str());
        // 25 pictures a second: each costs the guest its device lock for a moment.
        bool due = SDL_GetTicks() - rendered_at_ >= 40;
        if (due) rendered_at_ = SDL_GetTicks();
        bool changed = due && screen_ && alive() && screen_->render(image_);
        if (changed && image_.width && image_.height) upload();
        if (!changed && !exposed_) return;
        exposed_ = false;
        SDL_SetRenderDrawColor(renderer_, 0, 0, 0, 255);
        SDL_RenderClear(renderer_);
        if (texture_) SDL_RenderCopy(renderer_, texture_, nullptr, nullptr);
        SDL_RenderPresent(renderer_);
    }
    void exposed() { exposed_ = true; }

    void key(const SDL_KeyboardEvent& event) {
        bool pressed = event.state == SDL_PRESSED;
        bool ours = pressed && (event.keysym.mod & KMOD_CTRL) && (event.keysym.mod & KMOD_ALT);
        if (ours && event.keysym.scancode == SDL_SCANCODE_G) {
            grab(!grabbed_);
            return release_keys();
        }
        if (ours && event.keysym.scancode == SDL_SCANCODE_F) {
            full_screen_ = !full_screen_;
            SDL_SetWindowFullscreen(window_, full_screen_ ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
            return release_keys();
        }
        std::optional<Key> key = key_from_sdl(event.keysym.scancode);
        if (!key) return;
        if (pressed)
            down_.insert(*key);
        else if (!down_.erase(*key))
            return;                 // its press went to somebody else
        input_.key(*key, pressed);  // repeats of the host stand for the keyboard's own
    }
    void motion(const SDL_MouseMotionEvent& event) {
        if (grabbed_) input_.mouse(event.xrel, event.yrel, 0, buttons_);
    }
    void button(const SDL_MouseButtonEvent& event) {
        if (!grabbed_) {
            if (event.state == SDL_PRESSED) grab(true);
            return;
        }
        u8 bit = event.button == SDL_BUTTON_LEFT     ? 1
                 : event.button == SDL_BUTTON_RIGHT  ? 2
                 : event.button == SDL_BUTTON_MIDDLE ? 4
                 : event.button == SDL_BUTTON_X1     ? 8
                                                     : 16;
        buttons_ = event.state == SDL_PRESSED ? buttons_ | bit : buttons_ & ~bit;
        input_.mouse(0, 0, 0, buttons_);
    }
    void wheel(const SDL_MouseWheelEvent& event) {
        if (grabbed_) input_.mouse(0, 0, -event.y, buttons_);
    }
    /// The window lost the keyboard: keys held down would stay down in the guest.
    void focus_lost() {
        release_keys();
        grab(false);
    }

 private:
    std::string title() const {
        std::string text = vm_.name() + " - shadowbox";
        if (vm_.state() == VmState::kPaused)
            text += " (paused)";
        else if (vm_.state() == VmState::kBlocked)
            text += fmt::format(" ({})", vm_.block_reason());
        else if (!alive())
            text += " (ended)";
        else if (grabbed_)
            text += " - Ctrl-Alt-G lets the mouse go";
        return text;
    }
    void grab(bool on) {
        grabbed_ = on;
        SDL_SetRelativeMouseMode(on ? SDL_TRUE : SDL_FALSE);
        SDL_SetWindowGrab(window_, on ? SDL_TRUE : SDL_FALSE);
        if (!on && buttons_) input_.mouse(0, 0, 0, buttons_ = 0);
    }
    void release_keys() {
        for (Key key : down_) input_.key(key, false);
        down_.clear();
    }
    void upload() {
        int width = static_cast<int>(image_.width), height = static_cast<int>(image_.height);
        if (width != width_ || height != height_) {
            if (texture_) SDL_DestroyTexture(texture_);
            texture_ = SDL_CreateTexture(renderer_, SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STREAMING,
                                         width, height);
            SDL_RenderSetLogicalSize(renderer_, width, height);
            if (!full_screen_) SDL_SetWindowSize(window_, width, height);
            width_ = width, height_ = height;
        }
        if (texture_) SDL_UpdateTexture(texture_, nullptr, image_.pixels.data(), width * 4);
    }

    VmHandle handle_;
    VirtualMachine& vm_;
    GuestInput& input_;
    ScreenSource* screen_;
    SDL_Window* window_ = nullptr;
    SDL_Renderer* renderer_ = nullptr;
    SDL_Texture* texture_ = nullptr;
    ScreenImage image_;
    std::string shown_title_;
    std::set<Key> down_;
    int width_ = 0, height_ = 0;
    Uint32 rendered_at_ = 0;
    u8 buttons_ = 0;
    unsigned long system_id_ = 0;  // X11's number; 0 elsewhere
    bool lost_ = false;
    bool grabbed_ = false, full_screen_ = false, exposed_ = true;
};

}  // namespace

struct SdlDisplay::Windows {
    std::vector<std::unique_ptr<GuestWindow>> all;
    GuestWindow* find(Uint32 id) {
        for (auto& window : all)
            if (window->id() == id) return window.get();
        return nullptr;
    }
    bool any_lost() const {
        return std::any_of(all.begin(), all.end(), [](const auto& window) { return window->is_lost(); });
    }
    /// A window that somebody else destroyed counts as closed; SDL tells nobody of it.
    void system_event(const SDL_SysWMmsg& message, bool& closed) {
        unsigned long destroyed = destroyed_window(message);
        for (auto& window : all)
            if (destroyed && window->system_id() == destroyed) window->lost(), closed = true;
    }
    void window_event(const SDL_WindowEvent& event, bool& closed) {
        GuestWindow* window = find(event.windowID);
        if (!window) return;
        if (event.event == SDL_WINDOWEVENT_CLOSE)
            closed = true;
        else if (event.event == SDL_WINDOWEVENT_FOCUS_LOST)
            window->focus_lost();
        else if (event.event == SDL_WINDOWEVENT_EXPOSED || event.event == SDL_WINDOWEVENT_SIZE_CHANGED)
            window->exposed();
    }
};

SdlDisplay::SdlDisplay() : windows_(std::make_unique<Windows>()) {}

SdlDisplay::~SdlDisplay() {
    // SDL_Quit() would destroy a lost window once more, after it took our error handler away: Xlib would end
    // the process with a status of its own. The connection goes with the process.
    const bool any_lost = windows_->any_lost();
    windows_.reset();
    if (!any_lost) SDL_Quit();
}

Expected<std::unique_ptr<SdlDisplay>> SdlDisplay::create(ProcessControl& control) {
    SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
    SDL_SetHint(SDL_HINT_RENDER_SCALE_QUALITY, "linear");
    SDL_SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
    if (SDL_Init(SDL_INIT_VIDEO) != 0)
        return make_error(ErrorCode::kNotFound, "cannot open a window: {}: use -nographic or -display none",
                          SDL_GetError());
    survive_lost_windows();
    SDL_EventState(SDL_SYSWMEVENT, SDL_ENABLE);
    std::unique_ptr<SdlDisplay> display(new SdlDisplay);
    auto vms = control.host().vms();
    for (unsigned i = 0; i < vms.size(); ++i) {
        SDL_Point place = window_place(static_cast<int>(i), static_cast<int>(vms.size()));
        auto window = std::make_unique<GuestWindow>(vms[i], control.input(vms[i]->id()),
                                                    control.screen(vms[i]->id()), place);
        if (!window->made())
            return make_error(ErrorCode::kNotFound,
                              "cannot open a window: {}: use -nographic or -display none", SDL_GetError());
        display->windows_->all.push_back(std::move(window));
    }
    survive_lost_windows();  // again: whoever made the windows may have put a handler of its own
    return display;
}

bool SdlDisplay::poll() {
    bool closed = false;
    SDL_Event event;
    while (SDL_PollEvent(&event)) {
        GuestWindow* window = nullptr;
        switch (event.type) {
            case SDL_QUIT: closed = true; break;
            case SDL_SYSWMEVENT: windows_->system_event(*event.syswm.msg, closed); break;
            case SDL_WINDOWEVENT: windows_->window_event(event.window, closed); break;
            case SDL_KEYDOWN:
            case SDL_KEYUP:
                if ((window = windows_->find(event.key.windowID))) window->key(event.key);
                break;
            case SDL_MOUSEMOTION:
                if ((window = windows_->find(event.motion.windowID))) window->motion(event.motion);
                break;
            case SDL_MOUSEBUTTONDOWN:
            case SDL_MOUSEBUTTONUP:
                if ((window = windows_->find(event.button.windowID))) window->button(event.button);
                break;
            case SDL_MOUSEWHEEL:
                if ((window = windows_->find(event.wheel.windowID))) window->wheel(event.wheel);
                break;
            default: break;
        }
    }
    for (auto& window : windows_->all) window->draw();
    return closed;
}

}  // namespace shadowbox
