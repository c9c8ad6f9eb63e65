dnl m4/coney.m4: the few macros configure.ac repeats itself without.

dnl CONEY_ENABLE(NAME, HELP): a switch that is off by default; sets enable_NAME to yes or no.
AC_DEFUN([CONEY_ENABLE],
  [AC_ARG_ENABLE([$1], [AS_HELP_STRING([--enable-$1], [$2])], [], [AS_TR_SH([enable_$1])=no])])

dnl CONEY_IF_FLAG(FLAG, THEN, ELSE): can a program be compiled and linked with FLAG? Warnings about
dnl the flag itself count as a no: clang only warns about a warning it does not know.
AC_DEFUN([CONEY_IF_FLAG],
  [AS_VAR_PUSHDEF([cache], [coney_cv_flag_$1])
   AC_CACHE_CHECK([whether $CC takes $1], [cache],
     [coney_saved_CFLAGS=$CFLAGS
      CFLAGS="$CFLAGS -Werror $1"
      AC_LINK_IFELSE([AC_LANG_PROGRAM], [AS_VAR_SET([cache], [yes])], [AS_VAR_SET([cache], [no])])
      CFLAGS=$coney_saved_CFLAGS])
   AS_VAR_IF([cache], [yes], [$2], [$3])
   AS_VAR_POPDEF([cache])])

dnl CONEY_REQUIRE_FLAG(VAR, FLAG): append FLAG to VAR, or stop.
AC_DEFUN([CONEY_REQUIRE_FLAG],
  [CONEY_IF_FLAG([$2], [AS_VAR_APPEND([$1], [" $2"])], [AC_MSG_ERROR([$CC does not take $2])])])

dnl CONEY_TRY_FLAGS(VAR, FLAGS): append those of FLAGS to VAR that the compiler takes.
AC_DEFUN([CONEY_TRY_FLAGS],
  [m4_foreach_w([flag], [$2], [CONEY_IF_FLAG(m4_defn([flag]), [AS_VAR_APPEND([$1], [" flag"])])
  ])])

dnl CONEY_FORTIFY(VAR): append the highest _FORTIFY_SOURCE that compiler and C library know. There is none without
dnl optimization, and one that was asked for is left alone. Some compilers define one of their own accord.
AC_DEFUN([CONEY_FORTIFY],
  [AC_CACHE_CHECK([which _FORTIFY_SOURCE $CC takes], [coney_cv_fortify],
     [coney_cv_fortify=none
      coney_saved_CFLAGS=$CFLAGS
      AS_CASE([" $CFLAGS $CPPFLAGS"], [*_FORTIFY_SOURCE*], [],
        [for coney_level in 3 2; do
           CFLAGS="$coney_saved_CFLAGS -Werror -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$coney_level"
           AC_LINK_IFELSE(
             [AC_LANG_PROGRAM([@%:@include <string.h>
@%:@ifndef __OPTIMIZE__
@%:@error without optimization nothing is checked
@%:@endif])],
             [coney_cv_fortify=$coney_level; break])
         done])
      CFLAGS=$coney_saved_CFLAGS])
   AS_IF([test $coney_cv_fortify != none],
     [AS_VAR_APPEND([$1], [" -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$coney_cv_fortify"])])])

dnl CONEY_NEED_MODULE(VAR, MODULES, PACKAGE): pkg-config MODULES; PACKAGE goes to $missing if absent.
AC_DEFUN([CONEY_NEED_MODULE],
  [PKG_CHECK_MODULES([$1], [$2], [have_$1=yes], [have_$1=no; missing="$missing $3"])
   ver_$1=`$PKG_CONFIG --modversion "m4_bpatsubst([$2], [ .*])" 2>/dev/null`])

dnl CONEY_WANT_MODULE(VAR, MODULES, PACKAGE): the same for an optional part; only reported.
AC_DEFUN([CONEY_WANT_MODULE],
  [PKG_CHECK_MODULES([$1], [$2], [have_$1=yes], [have_$1=no])
   AS_IF([test $have_$1 = yes],
     [ver_$1=`$PKG_CONFIG --modversion "m4_bpatsubst([$2], [ .*])" 2>/dev/null`],
     [ver_$1="no ($3)"])])
