//! One test per pattern of the table above.

use super::*;

fn cpp(source: &str) -> String {
    let all = translate(source).cpp;
    let body = all.strip_prefix("#include \"msl.h\"\n").expect("the header comes first");
    let body = body.split("\nstatic const soft::Par").next().unwrap_or_default();
    body.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn address_spaces_disappear() {
    assert_eq!(
        cpp("void f(device float* a, thread int& b, constant int& c);"),
        "void f ( float * a , int & b , int & c ) ;"
    );
}

#[test]
fn constants_of_a_file_become_const() {
    assert_eq!(cpp("constant float x = 1;"), "const float x = 1 ;");
    assert_eq!(cpp("static constant constexpr int y = 2;"), "static constexpr int y = 2 ;");
}

#[test]
fn threadgroup_arrays_become_static_and_new_and_pointers_do_not() {
    let fresh = |name| format!("{{ static uint64_t group ; soft :: fresh ( group , & {name} , sizeof {name} ) ; }}");
    assert_eq!(
        cpp("void f() { threadgroup float a[4 * N]; }"),
        format!("void f ( ) {{ static float a [ 4 * N ] ; {} }}", fresh("a"))
    );
    assert_eq!(
        cpp("void f() { threadgroup vec<T, 2> a[4], b; }"),
        format!("void f ( ) {{ static vec < T , 2 > a [ 4 ] , b ; {} {} }}", fresh("a"), fresh("b"))
    );
    let two = cpp("void f() { threadgroup T a[2]; threadgroup T b[2]; }");
    assert_eq!(two.matches("static T").count(), 2, "{two}");
    assert_eq!(cpp("void f() { threadgroup float* p = q; }"), "void f ( ) { float * p = q ; }");
}

#[test]
fn cuda_shares_threadgroup_arrays_and_takes_arguments_in_one() {
    let unrolled = "#pragma clang loop unroll(full)\nfor (;;) {}";
    let kernel = "kernel void k(device float* a [[buffer(2)]]) { threadgroup float b[4]; b[0] = a[0];";
    let all = cuda(&format!("{kernel}\n{unrolled} }}"));
    let all = all.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(all.contains("void k ( float * a ) { __shared__ float b [ 4 ] ; b [ 0 ]"), "{all}");
    assert!(all.contains("#pragma unroll for ( ; ; )"), "{all}");
    let entry = "void gpu_k(const __grid_constant__ soft::Arguments a) { const soft::Par p[] = { {soft::BUF, 2} }; soft::call(&k, a, p); }";
    assert!(all.contains(entry), "{all}");
}

#[test]
fn function_constants_are_read_when_the_library_loads() {
    assert_eq!(cpp("constant bool has [[function_constant(3)]];"), "const bool has = soft_fc<bool>(3) ;");
    assert_eq!(cpp("int a; constant int n [[function_constant(0)]];"), "int a ; const int n = soft_fc<int>(0) ;");
    assert_eq!(translate("constant bool has [[function_constant(3)]];").constants["has"], 3);
}

#[test]
fn attributes_are_dropped() {
    assert_eq!(cpp("struct S { int a [[id(0)]]; };"), "struct S { int a ; } ;");
}

#[test]
fn functions_that_differ_in_address_space_are_kept_once() {
    assert_eq!(
        cpp("int f(device int* a) { return *a; } int f(thread int* a) { return *a; }"),
        "int f ( int * a ) { return * a ; }"
    );
}

#[test]
fn members_for_other_address_spaces_are_dropped() {
    let source =
        "struct S { S() = default; S() threadgroup = default; int g() { return 1; } int g() device { return 2; } };";
    assert_eq!(cpp(source), "struct S { S ( ) = default ; int g ( ) { return 1 ; } } ;");
}

#[test]
fn choices_between_number_types_are_promoted() {
    assert_eq!(cpp("void f() { x = c ? a : 0.0; }"), "void f ( ) { x = c ? soft::pr ( a ) : soft::pr ( 0.0 ) ; }");
    assert_eq!(cpp("void f() { x = c ? d ? 1 : 2 : 3; }").matches("soft::pr").count(), 2, "the inner one only");
}

#[test]
fn half_literals_become_calls() {
    assert_eq!(cpp("half x = 0.5h + 1/64.h + 0xffh;"), "half x = half(0.5) + 1 / half(64.) + 0xffh ;");
}

#[test]
fn arrays_filled_by_a_range_are_filled_by_a_call() {
    let expected = "void f ( ) { float s [ Q ] ; std::fill(std::begin(s), std::end(s), 1) ; }";
    assert_eq!(cpp("void f() { float s[Q] = { [0 ... Q - 1] = 1 }; }"), expected);
}

#[test]
fn kernels_are_found_by_word_and_by_attribute() {
    for source in ["kernel void k(device float* a) {}", "[[kernel]] void k(device float* a) {}"] {
        let unit = translate(source);
        assert_eq!(unit.kernels["k"].params.len(), 1);
        assert!(unit.cpp.contains("soft::call(&k, soft_k0_p)"), "{}", unit.cpp);
    }
}

#[test]
fn instantiations_are_known_by_their_host_names() {
    let source = "template <typename T> [[kernel]] void k(device T* a, constant int& n) {} \
        template [[host_name(\"k_\" \"f32\")]] [[kernel]] decltype(k<float>) k<float>; \
        template [[host_name(\"k_own\")]] [[kernel]] void k<half>(device half* a [[buffer(5)]]);";
    let unit = translate(source);
    assert_eq!(unit.kernels.len(), 2);
    assert_eq!(unit.kernels["k_f32"].params.len(), 2);
    assert_eq!(unit.kernels["k_own"].params[0].index, 5);
    assert!(unit.cpp.contains("soft::call(&k < float >"), "{}", unit.cpp);
}

#[test]
fn only_libraries_that_wait_get_fibers() {
    assert!(translate("kernel void k() { threadgroup_barrier(m); }").cpp.contains("c, true"));
    assert!(translate("kernel void k() {}").cpp.contains("c, false"));
}
